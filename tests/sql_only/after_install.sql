-- Behind the install script: doubles that need a superuser's rights in the place of the library's.
alter function easysync_internal.as_owner(text, text[]) owner to postgres;
alter function easysync_internal.as_owner(text, text[]) security definer;
alter function easysync_internal.hub_query(text, text[], text, text, bigint[], jsonb) owner to postgres;
alter function easysync_internal.hub_query(text, text[], text, text, bigint[], jsonb) security definer;
grant execute on function easysync_internal.as_owner(text, text[]),
    easysync_internal.hub_query(text, text[], text, text, bigint[], jsonb) to easysync_owner, easysync_worker;
