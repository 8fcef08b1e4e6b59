//! Each role signs in and tries every view and function there is, with another tenant's name and
//! another tenant's objects: nothing seen, nothing done. What is added to the surface is tried, too.

use anyhow::{Result, ensure};
use easysync_tests::bed::{Setup, with_bed};
use easysync_tests::surface::{calls, everything};
use easysync_tests::tenants::{
    NAME, OF_NOBODY, ROLES, answer, naming, sign_in, two_tenants, views,
};

#[test]
fn nobody_sees_or_does_anything_in_another_tenant() -> Result<()> {
    with_bed("roles", Setup::default(), |bed| {
        let sync_id = two_tenants(bed)?;
        let (views, calls) = (views(&mut bed.db)?, calls(&mut bed.db, &naming(sync_id))?);
        ensure!(views.len() > 15 && calls.len() > 30, "{} {}", views.len(), calls.len());
        // The owner does see something: an empty answer to the others means something.
        bed.db.batch_execute("set easysync.tenant_id = 'default'")?;
        let seen = views.iter().filter(|view| {
            !answer(&mut bed.db, &format!("select * from easysync.{view}")).is_empty()
        });
        ensure!(seen.count() > 8, "too little in the views to show anything");
        let before = everything(&mut bed.db, "default")?;

        for role in ROLES {
            let mut client = sign_in(bed, role)?;
            for view in &views {
                let shown = answer(&mut client, &format!("select * from easysync.{view}"));
                let own = OF_NOBODY.contains(&view.as_str()) || shown.is_empty();
                ensure!(own && !shown.contains(NAME), "{role} sees in {view}: {shown}");
            }
            for (_, call) in &calls {
                let shown = answer(&mut client, call);
                ensure!(!shown.contains(NAME), "{role} is told by {call}: {shown}");
                let after = everything(&mut bed.db, "default")?;
                for (table, digest) in &before {
                    ensure!(after.get(table) == Some(digest), "{role} changed {table} by {call}");
                }
                ensure!(role != "none" || shown.is_empty(), "anyone may call {call}: {shown}");
            }
        }
        Ok(())
    })
}
