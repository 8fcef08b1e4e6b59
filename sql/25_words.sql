-- Every word that an argument takes. Checks, error hints and the view easysync.vocabulary read it
-- here. Not a table: a seeded one would break restores.

-- `position` orders the words of a term as messages list them.
create function easysync_internal.words()
    returns table (term text, value text, applies_to text, description text, "position" integer)
    language sql immutable set search_path = pg_catalog, pg_temp
as $function$
    select w.term, w.value, w.applies_to, w.description, w.ordinality::integer
    from rows from (jsonb_to_recordset($json$[
{"term": "connector", "value": "woocommerce", "description": "a WooCommerce shop, by its REST API v3"},
    {"term": "connector", "value": "quickbooks", "description": "the books of a company in QuickBooks Online"},

{"term": "entity", "value": "customers", "description": "people and companies who buy"},
{"term": "entity", "value": "products", "description": "what is sold, with its variations"},
{"term": "entity", "value": "orders", "description": "orders; a run brings customers and products before, refunds after"},
{"term": "entity", "value": "refunds", "description": "money given back"},
{"term": "entity", "value": "invoices", "description": "invoices, from here or the books"},
{"term": "entity", "value": "payments", "description": "money received"},
{"term": "entity", "value": "vendors", "description": "who sells to us"},
{"term": "entity", "value": "bills", "description": "what we owe"},

{"term": "mode", "value": "incremental", "description": "what changed since the last run; the first one is full"},
{"term": "mode", "value": "full", "description": "all records, all compared; what is gone is found"},

{"term": "direction", "value": "off", "description": "nothing flows"},
{"term": "direction", "value": "pull", "description": "from the platform into the hub"},
{"term": "direction", "value": "push", "description": "from the hub to the platform"},
{"term": "direction", "value": "two_way", "description": "both"},

{"term": "source_of_truth", "value": "local", "description": "the hub is right"},
{"term": "source_of_truth", "value": "platform", "description": "the platform is right"},

{"term": "conflict_strategy", "value": "source_wins", "description": "the side that source_of_truth names wins"},
{"term": "conflict_strategy", "value": "target_wins", "description": "the other side wins"},
{"term": "conflict_strategy", "value": "newest_wins", "description": "the later change wins"},
{"term": "conflict_strategy", "value": "merge", "description": "field by field; what clashes falls to the source of truth"},
{"term": "conflict_strategy", "value": "manual", "description": "a person decides"},

{"term": "delete_policy", "value": "keep", "description": "what is gone on one side stays on the other, marked"},
{"term": "delete_policy", "value": "inactivate", "description": "what is gone on one side is switched off on the other"},
{"term": "delete_policy", "value": "delete", "description": "what is gone on one side is deleted on the other"},

{"term": "push_when", "value": "triggered", "description": "only trigger and schedules send"},
{"term": "push_when", "value": "changed", "description": "a change in the hub starts a sync"},

{"term": "filter", "value": "status", "applies_to": "products", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "orders", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "invoices", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "payments", "description": "text or array of texts"},
{"term": "filter", "value": "status", "applies_to": "bills", "description": "text or array of texts"},
{"term": "filter", "value": "created_since", "description": "time; this moment counts"},
{"term": "filter", "value": "created_until", "description": "time; this moment doesn't count"},
{"term": "filter", "value": "modified_since", "description": "time; this moment counts"},
{"term": "filter", "value": "modified_until", "description": "time; this moment doesn't count"},
{"term": "filter", "value": "currency", "applies_to": "orders", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "refunds", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "invoices", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "payments", "description": "ISO 4217 code"},
{"term": "filter", "value": "currency", "applies_to": "bills", "description": "ISO 4217 code"},
{"term": "filter", "value": "customer", "applies_to": "orders", "description": "id of the customer where it was born"},
{"term": "filter", "value": "customer", "applies_to": "invoices", "description": "id of the customer where it was born"},
{"term": "filter", "value": "customer", "applies_to": "payments", "description": "id of the customer where it was born"},
{"term": "filter", "value": "sku", "applies_to": "products", "description": "stock keeping unit"},
{"term": "filter", "value": "type", "applies_to": "products", "description": "kind of product: simple, variable, grouped, external"},

{"term": "order_status", "value": "pending", "applies_to": "orders", "description": "not paid yet"},
{"term": "order_status", "value": "processing", "applies_to": "orders", "description": "paid, to be delivered"},
{"term": "order_status", "value": "on-hold", "applies_to": "orders", "description": "payment to be confirmed"},
{"term": "order_status", "value": "completed", "applies_to": "orders", "description": "paid and delivered"},
{"term": "order_status", "value": "cancelled", "applies_to": "orders", "description": "cancelled"},
{"term": "order_status", "value": "refunded", "applies_to": "orders", "description": "all money given back"},
{"term": "order_status", "value": "failed", "applies_to": "orders", "description": "payment failed"},
{"term": "order_status", "value": "trash", "applies_to": "orders", "description": "in the shop's trash"},
{"term": "product_status", "value": "publish", "applies_to": "products", "description": "on sale"},
{"term": "product_status", "value": "draft", "applies_to": "products", "description": "not on sale yet"},
{"term": "product_status", "value": "pending", "applies_to": "products", "description": "awaits review"},
{"term": "product_status", "value": "private", "applies_to": "products", "description": "for the shop's staff"},
{"term": "product_status", "value": "trash", "applies_to": "products", "description": "in the shop's trash"},
{"term": "product_type", "value": "simple", "applies_to": "products", "description": "one item"},
{"term": "product_type", "value": "variable", "applies_to": "products", "description": "has variations"},
{"term": "product_type", "value": "grouped", "applies_to": "products", "description": "a group of products"},
{"term": "product_type", "value": "external", "applies_to": "products", "description": "sold elsewhere"},

{"term": "connection_status", "value": "pending", "description": "waits for a person to grant access"},
{"term": "connection_status", "value": "connected", "description": "works"},
{"term": "connection_status", "value": "reauthorize", "description": "the grant is gone: a person must give it again"},
{"term": "connection_status", "value": "error", "description": "stopped; see status_reason"},
{"term": "connection_status", "value": "disabled", "description": "paused by a person"},

{"term": "sync_status", "value": "queued", "description": "waits for the worker"},
{"term": "sync_status", "value": "running", "description": "in the worker's hands"},
{"term": "sync_status", "value": "awaiting_confirmation", "description": "waits for a person to confirm its plan"},
{"term": "sync_status", "value": "succeeded", "description": "all of it done"},
{"term": "sync_status", "value": "partial", "description": "done but for some records: see sync_failures"},
{"term": "sync_status", "value": "failed", "description": "ended by an error"},
{"term": "sync_status", "value": "cancelled", "description": "ended by a person"},
{"term": "sync_status", "value": "expired", "description": "not confirmed in time"},

{"term": "triggered_by", "value": "manual", "description": "trigger or run"},
{"term": "triggered_by", "value": "schedule", "description": "a schedule"},
{"term": "triggered_by", "value": "webhook", "description": "a delivery from the platform"},
{"term": "triggered_by", "value": "change", "description": "a change in the hub"},
{"term": "triggered_by", "value": "retry", "description": "retry, or its time had come"},
{"term": "triggered_by", "value": "undo", "description": "undo"},

{"term": "overlap", "value": "skip", "description": "a slot that comes while the run before it is not over is left out"},
{"term": "overlap", "value": "queue", "description": "it waits for the run before it"},
{"term": "missed", "value": "run_once", "description": "slots that passed without a worker are made up for by one run"},
{"term": "missed", "value": "skip", "description": "they are left out"},
{"term": "missed", "value": "run_all", "description": "a run for each, up to the setting missed_limit"},
{"term": "event", "value": "webhooks_down", "description": "the shop's webhooks don't deliver and can't be repaired"},
{"term": "webhook_status", "value": "received", "description": "nobody has looked at it yet"},
{"term": "webhook_status", "value": "accepted", "description": "genuine; its record is to be fetched"},
{"term": "webhook_status", "value": "rejected", "description": "not genuine"},
{"term": "webhook_status", "value": "ignored", "description": "nothing to fetch; status_reason says why"},
{"term": "webhook_status", "value": "processed", "description": "its record was fetched"},
{"term": "event", "value": "confirmation_waits", "description": "a sync that nobody started by hand waits for a confirmation"},
{"term": "event", "value": "confirmation_expired", "description": "nobody confirmed a sync in time: nothing was sent"},
{"term": "event", "value": "schedule_failing", "description": "a schedule has failed as often in a row as the setting notify_after_failures says"},

{"term": "error_category", "value": "authentication", "description": "the platform refused the credentials"},
{"term": "error_category", "value": "rate_limit", "description": "the platform's limit is reached; goes on by itself"},
{"term": "error_category", "value": "validation", "description": "the record or the settings can't be"},
{"term": "error_category", "value": "not_found", "description": "no such record there"},
{"term": "error_category", "value": "conflict", "description": "somebody else was faster"},
{"term": "error_category", "value": "network", "description": "the platform can't be reached; tried again by itself"},
{"term": "error_category", "value": "needs_attention", "description": "a person must look at the record"},
{"term": "error_category", "value": "blocked", "description": "waits for a change of settings"},
{"term": "error_category", "value": "internal", "description": "our own mistake: please report it"},

{"term": "log_level", "value": "debug", "description": "everything"},
{"term": "log_level", "value": "info", "description": "every operation"},
{"term": "log_level", "value": "warn", "description": "what was odd"},
{"term": "log_level", "value": "error", "description": "what failed"},

{"term": "unfence_mode", "value": "takeover", "description": "this database is production now"},
{"term": "unfence_mode", "value": "copy", "description": "this database is a copy: its credentials are erased"},

{"term": "key_step", "value": "prepare", "description": "write the new key into the key file"},
{"term": "key_step", "value": "activate", "description": "seal with the new key"},
{"term": "key_step", "value": "both", "description": "both in one go"}
]$json$::jsonb) as (term text, value text, applies_to text, description text)) with ordinality as w
$function$;

-- The words of a term, in order, without those that are for something else.
create function easysync_internal.words_of(term text, applies_to text default null) returns text[]
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select array_agg(distinct_words.value order by distinct_words.position)
    from (select w.value, min(w.position) as position
          from easysync_internal.words() as w
          where w.term = words_of.term
            and (words_of.applies_to is null or w.applies_to is null or w.applies_to = words_of.applies_to)
          group by w.value) as distinct_words
$$;

-- Raises 22023 unless the word is one of the term's. `plural` starts the hint that lists them.
create function easysync_internal.check_word(term text, word text, plural text) returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    perform easysync_internal.check_size(term, word);
    if word is null or word <> all (easysync_internal.words_of(term)) then
        perform easysync_internal.raise_argument(
            format('unknown %s %s', replace(term, '_', ' '), coalesce('"' || word || '"', 'NULL')),
            format('%s: %s.', plural, array_to_string(easysync_internal.words_of(term), ', ')));
    end if;
end
$$;

-- What a connector can do: default direction of its streams, and the directions it is able to take.
-- No row: it has no such entity.
create function easysync_internal.connector_streams()
    returns table (connector text, entity text, default_direction text, directions text[])
    language sql immutable set search_path = pg_catalog, pg_temp
as $$
    values ('woocommerce', 'customers', 'pull', array['off', 'pull']),
           ('woocommerce', 'products', 'pull', array['off', 'pull']),
           ('woocommerce', 'orders', 'pull', array['off', 'pull']),
           ('woocommerce', 'refunds', 'pull', array['off', 'pull']),
           ('quickbooks', 'customers', 'push', array['off', 'push']),
           ('quickbooks', 'products', 'push', array['off', 'push']),
           ('quickbooks', 'orders', 'push', array['off', 'push']),
           ('quickbooks', 'refunds', 'push', array['off', 'push']),
           ('quickbooks', 'invoices', 'off', array['off', 'pull']),
           ('quickbooks', 'payments', 'off', array['off', 'pull']),
           ('quickbooks', 'vendors', 'off', array['off', 'pull', 'push']),
           ('quickbooks', 'bills', 'off', array['off', 'pull', 'push'])
$$;
