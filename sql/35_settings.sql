-- Settings of a tenant. Defaults live here, in code; the table holds only what somebody set. What the
-- owner of the server decides is a configuration parameter instead (easysync.key_file, ...).

create function easysync_internal.setting_definitions()
    returns table (name text, kind text, default_value text, unit text, minimum text, maximum text, description text)
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    values
        ('confirm_threshold', 'integer', '10', 'records', '0', '1000000', 'a plan that would write more than this many records waits for a confirmation'),
        ('confirm_wait', 'interval', '24 h', 'interval', '1 min', '30 d', 'how long a sync waits for its confirmation before it expires'),
        ('timezone', 'timezone', 'America/Edmonton', null, null, null, 'time zone of schedules'),
        ('missed_limit', 'integer', '24', 'runs', '1', '1000', 'how many missed runs a schedule with run_all catches up with'),
        ('log_level', 'log_level', 'info', null, null, null, 'least severe log rows that are kept: debug, info, warn, error'),
        ('log_retention', 'interval', '30 d', 'interval', '1 d', '3650 d', 'how long log rows are kept'),
        ('run_retention', 'interval', '400 d', 'interval', '1 d', '3650 d', 'how long past syncs are kept, and their idempotency keys with them'),
        ('webhook_body_retention', 'interval', '7 d', 'interval', '1 h', '3650 d', 'how long the body of a delivery is kept'),
        ('notify_after_failures', 'integer', '3', 'failures', '1', '1000', 'failures in a row before an alert is raised'),
        ('delete_policy', 'delete_policy', 'keep', null, null, null, 'what happens to records that are gone on the other side: keep, inactivate, delete')
$$;

-- Value in force. Null: no such setting.
create function easysync_internal.setting(tenant text, setting_name text) returns text
    language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select coalesce(s.value, d.default_value)
    from easysync_internal.setting_definitions() as d
    left join easysync_internal.settings as s on s.tenant_id = tenant and s.name = d.name
    where d.name = setting_name
$$;

-- 22023 unless the value fits the setting.
create function easysync_internal.check_setting(definition record, value text) returns void
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    in_range boolean;
begin
    case definition.kind
        when 'integer' then
            in_range := value::integer between definition.minimum::integer and definition.maximum::integer;
        when 'interval' then
            in_range := value::interval between definition.minimum::interval and definition.maximum::interval;
        when 'timezone' then
            if not exists (select from pg_timezone_names as z where z.name = value) then
                perform easysync_internal.raise_argument(format('unknown time zone "%s"', value),
                    easysync_internal.timezone_hint(value));
            end if;
            return;
        when 'log_level' then
            perform easysync_internal.check_word('log_level', value, 'Levels');
            return;
        when 'delete_policy' then
            perform easysync_internal.check_word('delete_policy', value, 'Policies');
            return;
    end case;
    if not in_range then
        perform easysync_internal.raise_argument(format('%s is outside the range of "%s"', value, definition.name),
            format('From %s to %s.', definition.minimum, definition.maximum));
    end if;
exception when invalid_text_representation or invalid_datetime_format or numeric_value_out_of_range
            or datetime_field_overflow or interval_field_overflow then
    perform easysync_internal.raise_argument(format('invalid value for "%s": "%s"', definition.name, value),
        format('%s, from %s to %s.', initcap(definition.kind), definition.minimum, definition.maximum));
end
$$;

-- The zone whose name ends alike, or the form of a name.
create function easysync_internal.timezone_hint(value text) returns text
    language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        -- Not format(): without a zone this has to be null.
        (select 'Did you mean ' || string_agg(z.name, ', ' order by z.name) || '?'
         from (select name from pg_timezone_names
               where name like '%/%' and name !~ '^(posix|right)/'
                 and lower(split_part(reverse(name), '/', 1)) = lower(split_part(reverse(replace(value, ' ', '_')), '/', 1))
               limit 5) as z),
        'Names are like America/Edmonton; pg_timezone_names lists them.')
$$;

-- A setting's definition; 22023 with the names when there is none.
create function easysync_internal.known_setting(setting_name text) returns record
    language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    definition record;
begin
    perform easysync_internal.check_size('name', setting_name);
    select * into definition from easysync_internal.setting_definitions() as d where d.name = setting_name;
    if not found then
        perform easysync_internal.raise_argument(format('unknown setting %s', coalesce('"' || setting_name || '"', 'NULL')),
            (select format('Settings: %s.', string_agg(d.name, ', ')) from easysync_internal.setting_definitions() as d));
    end if;
    return definition;
end
$$;

create function easysync.set_setting(name text, value text) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    definition record := easysync_internal.known_setting(set_setting.name);
    old_value text := easysync_internal.setting(tenant, set_setting.name);
begin
    if set_setting.value is null then
        perform easysync_internal.raise_argument(format('"%s" needs a value', set_setting.name),
            'easysync.reset_setting goes back to the default.');
    end if;
    perform easysync_internal.check_size('value', set_setting.value);
    perform easysync_internal.check_setting(definition, set_setting.value);
    insert into easysync_internal.settings as s (tenant_id, name, value, changed_by)
    values (tenant, set_setting.name, set_setting.value, session_user)
    on conflict (tenant_id, name) do update
        set value = excluded.value, changed_at = now(), changed_by = excluded.changed_by;
    perform easysync_internal.audit(tenant, 'set_setting', set_setting.name, to_jsonb(old_value), to_jsonb(set_setting.value));
end
$$;
comment on function easysync.set_setting(text, text) is 'Set one of the settings of this tenant';

create function easysync.reset_setting(name text) returns void
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    tenant text := easysync.current_tenant();
    definition record := easysync_internal.known_setting(reset_setting.name);
    old_value text := easysync_internal.setting(tenant, reset_setting.name);
begin
    delete from easysync_internal.settings as s where s.tenant_id = tenant and s.name = reset_setting.name;
    if found then
        perform easysync_internal.audit(tenant, 'reset_setting', reset_setting.name, to_jsonb(old_value), to_jsonb(definition.default_value));
    end if;
end
$$;
comment on function easysync.reset_setting(text) is 'Back to the default of a setting';
