//! Where the prepared Postgres lives: `dev/environment` under the build directory, as written by
//! `scripts/setup.sh`.

use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What `scripts/setup.sh` found and made.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The checkout.
    pub root: PathBuf,
    /// Build products; holds `dev/environment`.
    pub target: PathBuf,
    /// Clusters, logs and the private Postgres: a place that the unprivileged user can reach.
    pub run_dir: PathBuf,
    /// Programs of the private Postgres that the extension is installed into.
    pub pg_bin: PathBuf,
    /// Who runs Postgres; None: whoever runs us (Postgres refuses root).
    pub pg_user: Option<String>,
}

impl Environment {
    /// Finds `dev/environment` above the running program, which cargo puts under the same
    /// directory whatever it is called.
    pub fn find() -> Result<Self> {
        let program = std::env::current_exe().context("the path of this program")?;
        let file = program
            .ancestors()
            .map(|dir| dir.join("dev/environment"))
            .find(|file| file.is_file())
            .context("nothing is prepared yet: run scripts/setup.sh (make does)")?;
        Self::read(&file)
    }

    fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let values: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once('=')).collect();
        let get = |key: &str| {
            values.get(key).copied().with_context(|| format!("no {key} in {}", file.display()))
        };
        let target = file.ancestors().nth(2).context("target")?.to_path_buf();
        let user = get("pg_user")?;
        // What is built with optimisations measures the library that is, too.
        let pg_bin = if cfg!(debug_assertions) { "pg_bin" } else { "pg_bin_release" };
        Ok(Self {
            root: get("root")?.into(),
            target,
            run_dir: get("run_dir")?.into(),
            pg_bin: get(pg_bin)?.into(),
            pg_user: (!user.is_empty()).then(|| user.to_owned()),
        })
    }

    /// A program of this workspace, as built beside the running one.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let here = std::env::current_exe().context("the path of this program")?;
        // Tests run from `debug/deps`, programs from `debug`.
        here.ancestors()
            .skip(1)
            .take(2)
            .map(|dir| dir.join(name))
            .find(|path| path.is_file())
            .with_context(|| format!("{name} isn't built: cargo build -p {name}"))
    }
}
