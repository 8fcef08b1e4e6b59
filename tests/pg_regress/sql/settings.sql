-- Settings of a tenant, in the manner of pg_settings.
\set SHOW_CONTEXT never
select name, value, default_value, unit from easysync.settings order by name;
select easysync.set_setting('confirm_threshold', '25');
select name, value, default_value, changed_at is not null as changed, changed_by
from easysync.settings where name = 'confirm_threshold';
select easysync.reset_setting('confirm_threshold');
select value, changed_at from easysync.settings where name = 'confirm_threshold';

-- What is no setting or no value for it.
select easysync.set_setting('colour', 'red');
select easysync.set_setting('confirm_threshold', 'many');
select easysync.set_setting('confirm_threshold', '-1');
select easysync.set_setting('timezone', 'Mars/Olympus');
select easysync.set_setting('log_level', 'loud');
select easysync.reset_setting('colour');
