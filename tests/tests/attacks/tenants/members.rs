//! What concerns the whole installation is no single tenant's affair.

use super::hubs::admins;
use crate::Attack;
use anyhow::{Result, ensure};
use easysync_tests::bed::{Setup, with_bed};
use easysync_tests::refusal::refused;
use easysync_tests::tenants::{answer, session};

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "an_admin_of_a_tenant_stops_and_admits_nobody_elsewhere",
            run: an_admin_of_a_tenant_stops_and_admits_nobody_elsewhere,
        },
        Attack {
            name: "the_open_default_closes_for_good_with_the_first_member",
            run: the_open_default_closes_for_good_with_the_first_member,
        },
        Attack { name: "a_dba_reads_no_tenants_records", run: a_dba_reads_no_tenants_records },
        Attack {
            name: "a_name_whose_records_are_here_is_not_free",
            run: a_name_whose_records_are_here_is_not_free,
        },
    ]
}

const OF_ALL: [&str; 7] = [
    "fence()",
    "unfence('takeover')",
    "unfence('copy')",
    "rotate_encryption_key()",
    "add_tenant_member('north', 'south')",
    "add_tenant_member('north', 'brand_new')",
    "remove_tenant_member('south', 'south')",
];

fn an_admin_of_a_tenant_stops_and_admits_nobody_elsewhere() -> Result<()> {
    with_bed("attack-members-admin", Setup::default(), |bed| {
        bed.connect_shop()?;
        let (mut north, _) = admins(bed)?;
        let state = "select concat(i.fenced_at is not null, (select string_agg(key_id, ',') from easysync_internal.connections),
                            (select count(*) from easysync_internal.tenant_members)) from easysync_internal.identity i";
        let before = bed.text(state)?;
        for call in OF_ALL {
            refused(&mut north, &format!("select easysync.{call}"), &[])?
                .assert("42501", &["concerns every tenant", "GRANT easysync_dba TO north"]);
        }
        ensure!(north.query("select * from easysync.tenant_members", &[]).is_err(), "the list");
        ensure!(north.batch_execute("set role easysync_dba").is_err(), "the role");
        ensure!(north.batch_execute("grant easysync_dba to north").is_err(), "the grant");
        ensure!(bed.text(state)? == before, "something was done");
        // The hint works.
        bed.db.batch_execute("grant easysync_dba to north")?;
        north.batch_execute("select easysync.fence('now'); select easysync.unfence('takeover')")?;
        Ok(())
    })
}

fn the_open_default_closes_for_good_with_the_first_member() -> Result<()> {
    with_bed("attack-members-open", Setup::default(), |bed| {
        bed.db.batch_execute(
            "create role boss login password 'north'; create role staff login password 'north';
             grant easysync_admin to boss; grant easysync_operator to staff",
        )?;
        let (mut boss, mut staff) = (session(bed, "boss")?, session(bed, "staff")?);
        // One tenant, nobody a member: as it always was.
        staff.batch_execute("select easysync.fence('prices')")?;
        boss.batch_execute("select easysync.unfence('takeover')")?;
        boss.batch_execute("select easysync.add_tenant_member('staff', 'north')")?;
        refused(&mut staff, "select easysync.fence('prices')", &[])?
            .assert("42501", &["concerns every tenant"]);
        for call in [
            "add_tenant_member('boss', 'north')",
            "remove_tenant_member('staff', 'north')",
            "remove_tenant_member('boss', 'default')",
        ] {
            refused(&mut boss, &format!("select easysync.{call}"), &[])?
                .assert("42501", &["concerns every tenant"]);
        }
        ensure!(answer(&mut boss, "select easysync.allowed_tenants()") == "({default})", "boss");
        Ok(())
    })
}

fn a_dba_reads_no_tenants_records() -> Result<()> {
    with_bed("attack-members-dba", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute(
            "select easysync.add_tenant_member('postgres', 'default');
             create role keeper login password 'north'; grant easysync_dba to keeper",
        )?;
        let mut keeper = session(bed, "keeper")?;
        let members =
            answer(&mut keeper, "select tenant_id, role_name from easysync.tenant_members");
        ensure!(members == "(default,postgres)", "{members}");
        for statement in [
            "select * from easysync.connections",
            "select * from easysync.audit_log",
            "select * from commerce.orders",
            "select * from easysync_internal.tenant_members",
            "select easysync.trigger('orders')",
            "select easysync.dry_run('orders')",
            "select easysync.set_credentials('shop', '{}')",
            "select easysync.health()",
        ] {
            let error = keeper.query(statement, &[]).unwrap_err();
            ensure!(
                error.code().is_some_and(|code| code.code() == "42501"),
                "{statement}: {error:?}"
            );
        }
        // It may let itself in, and that is on record.
        keeper.batch_execute("select easysync.add_tenant_member('keeper', 'default')")?;
        let noted = bed.text(
            "select session_user_name || ' ' || object from easysync.audit_log
             where action = 'add_tenant_member' order by audit_id desc limit 1",
        )?;
        ensure!(noted.as_deref() == Some("keeper keeper"), "{noted:?}");
        Ok(())
    })
}

fn a_name_whose_records_are_here_is_not_free() -> Result<()> {
    with_bed("attack-members-left", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute(
            "create role boss login password 'north'; grant easysync_admin to boss;
             insert into easysync_ledger.links (tenant_id, account, entity, remote_id, remote_type, hash)
             values ('linked', 'a', 'orders', '1', 'order', '');
             insert into easysync_ledger.sync_requests (tenant_id, account, request_id, connection, body_hash)
             values ('asked', 'a', 'r', 'shop', '');
             insert into easysync_ledger.tenants (tenant_id, hub_schema) values ('housed', 'commerce');
             insert into easysync_internal.settings (tenant_id, name, value, changed_by)
             values ('set_up', 'log_level', 'info', 'x')",
        )?;
        let mut boss = session(bed, "boss")?;
        for tenant in ["linked", "asked", "housed", "set_up"] {
            refused(&mut boss, "select easysync.add_tenant_member('boss', $1)", &[&tenant])?
                .assert("42501", &["is not one of yours", "easysync_dba"]);
        }
        ensure!(bed.count("easysync_internal.tenant_members")? == 0, "the first one closed it");
        boss.batch_execute("select easysync.add_tenant_member('boss', 'new')")?;
        Ok(())
    })
}
