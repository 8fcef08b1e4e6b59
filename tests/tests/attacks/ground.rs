//! What attacks on foreign ground share: a hub that belongs to an application's role, and a table
//! that shows whose rights the attacker's code got.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use postgres::{Client, NoTls};
use serde_json::json;

/// The attacker's code writes down who it runs as. Everybody may call it, and write there.
pub const LOOT: &str = "
create schema loot;
grant usage on schema loot to public;
create table loot.seen (who name, by_session name, is_super boolean, note text);
grant insert on loot.seen to public;
create function loot.grab(note text default '') returns boolean language plpgsql volatile as $$
begin
    insert into loot.seen
    select current_user, session_user, (select rolsuper from pg_roles where rolname = current_user), grab.note;
    return true;
end $$;";

/// Signs in as a role of the database, with its name as the password.
pub fn sign_in(bed: &Bed, role: &str) -> Result<Client> {
    sign_in_to(bed, &bed.database, role)
}

/// The same to another database.
pub fn sign_in_to(bed: &Bed, database: &str, role: &str) -> Result<Client> {
    let mut config = bed.cluster.config(database);
    config.user(role).password(role);
    config.connect(NoTls).with_context(|| format!("{role} signs in"))
}

/// A bed on which the application's role `app`, no superuser, has connected the shop: the hub is its
/// own. `mallory` may sign in and create schemas.
pub fn with_app(
    name: &str,
    attack: impl FnOnce(&mut Bed, &mut Client) -> Result<()>,
) -> Result<()> {
    with_bed(&format!("attack-{name}"), Setup::default(), |bed| {
        bed.db.batch_execute(
            "create role app login password 'app';
             create role mallory login password 'mallory';
             create role clerk login password 'clerk';
             grant create on database shop to app, mallory;
             grant easysync_admin to app; grant easysync_operator to clerk",
        )?;
        let mut app = sign_in(bed, "app")?;
        let settings = json!({"url": bed.simulator.state.woocommerce.https});
        app.execute(
            "select easysync.connect('shop', 'woocommerce', settings => $1, credentials => $2)",
            &[&settings, &json!({"file": "shop.json"})],
        )?;
        app.batch_execute(LOOT)?;
        attack(bed, &mut app)
    })
}

/// The attacker's code got the rights of nobody but these roles.
pub fn only_as(bed: &mut Bed, allowed: &[&str]) -> Result<()> {
    let rows = bed.db.query(
        "select distinct who::text, by_session::text, is_super, note from loot.seen order by 1, 2",
        &[],
    )?;
    for row in rows {
        let who: String = row.get(0);
        let (session, is_super): (String, bool) = (row.get(1), row.get(2));
        let note: Option<String> = row.get(3);
        ensure!(
            allowed.contains(&who.as_str()) && !is_super,
            "code of the hub's owner ran as {who} (session {session}, superuser {is_super}): {note:?}"
        );
    }
    Ok(())
}

/// How often the attacker's code ran.
pub fn times(bed: &mut Bed) -> Result<i64> {
    bed.count("loot.seen")
}
