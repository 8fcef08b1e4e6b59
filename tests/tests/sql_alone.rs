//! The SQL files without the library, on a server of their own: dumps, tenants, the fence, concurrent
//! calls. What fails is printed by name.

use anyhow::Result;
use easysync_tests::environment::Environment;
use easysync_tests::process::run;
use std::process::Command;

#[test]
fn the_sql_alone_keeps_its_promises() -> Result<()> {
    let environment = Environment::find()?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(environment.root.join("tests/sql_only/run.sh"));
    // `psql` of the server that is tested comes first.
    command.env("PATH", format!("{}:{path}", environment.pg_bin.display()));
    command.env("PG_CONFIG", environment.pg_bin.join("pg_config"));
    if let Some(user) = &environment.pg_user {
        command.env("SERVER_USER", user);
    }
    println!("{}", run(&mut command)?);
    Ok(())
}
