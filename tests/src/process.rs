//! Programs run as the user that may run Postgres.

use crate::environment::Environment;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// A command that runs as the unprivileged user.
///
/// Postgres must not see `RUST_BACKTRACE`: pgrx would put traces into error details.
pub fn as_postgres(environment: &Environment, program: &Path) -> Command {
    let mut command = match &environment.pg_user {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={user}"));
            command.arg(format!("--regid={user}"));
            command.arg("--clear-groups").arg(program);
            command
        }
    };
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    // The caller's own settings for libpq are not ours.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Runs a command to its end; its output is the error when it fails.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{command:?} failed ({}):\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(text)
}

/// Makes a directory of ours that everybody may pass through.
pub fn open_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Makes a directory that belongs to the unprivileged user, for nobody else to read.
pub fn private_dir(environment: &Environment, path: &Path) -> Result<()> {
    if !path.is_dir() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| path.display().to_string())?;
    }
    give(environment, path)
}

/// Writes a file that belongs to the unprivileged user, for nobody else to read.
pub fn private_file(environment: &Environment, path: &Path, content: &str) -> Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| path.display().to_string())?;
    file.write_all(content.as_bytes())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    give(environment, path)
}

/// Hands a file or directory over to the unprivileged user.
pub fn give(environment: &Environment, path: &Path) -> Result<()> {
    let Some(user) = &environment.pg_user else { return Ok(()) };
    run(Command::new("chown").arg("-h").arg(format!("{user}:")).arg(path))?;
    Ok(())
}
