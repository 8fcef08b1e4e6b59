//! Credential files are wanted that belong to another tenant, or that others can read.

use crate::Attack;
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::process::{give, private_dir, private_file};
use easysync_tests::refusal::refused;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn attacks() -> Vec<Attack> {
    vec![
        Attack { name: "no_tenant_names_a_file_of_another_one", run: other_tenants_files },
        Attack { name: "a_file_that_others_may_read_is_refused", run: files_that_others_read },
        Attack { name: "what_is_no_private_regular_file_is_refused", run: odd_files },
    ]
}

const CONNECT: &str = "select easysync.connect('c' || $1::int, 'woocommerce',
    '{\"url\": \"https://shop.example\"}', $2, verify => false)";

fn keys() -> String {
    json!({"consumer_key": "ck_0123456789", "consumer_secret": "cs_0123456789"}).to_string()
}

fn folder(bed: &Bed, name: &str) -> Result<PathBuf> {
    let path = bed.cluster.credential_dir().join(name);
    private_dir(bed.cluster.environment(), &path)?;
    Ok(path)
}

fn put(bed: &Bed, path: &Path) -> Result<()> {
    private_file(bed.cluster.environment(), path, &keys())
}

/// Connects with the file as the session's tenant; the connection goes again.
fn takes(bed: &mut Bed, name: &str) -> Result<()> {
    bed.db.execute(CONNECT, &[&1, &json!({"file": name})]).with_context(|| name.to_owned())?;
    bed.db.batch_execute("select easysync.disconnect('c1')")?;
    Ok(())
}

fn refuses(bed: &mut Bed, name: &str, word: &str) -> Result<()> {
    let told = refused(&mut bed.db, CONNECT, &[&2, &json!({"file": name})])?;
    told.assert("22023", &[word]);
    ensure!(!told.text().contains("cs_0123456789"), "{told:?}");
    Ok(())
}

fn be(bed: &mut Bed, tenant: &str) -> Result<()> {
    bed.db.execute("select set_config('easysync.tenant_id', $1, false)", &[&tenant])?;
    Ok(())
}

fn other_tenants_files() -> Result<()> {
    with_bed("attack-files", Setup::default(), |bed| {
        for tenant in ["default", "north", "south"] {
            let add = "select easysync.add_tenant_member('postgres', $1)";
            bed.db.execute(add, &[&tenant])?;
        }
        let (north, south) = (folder(bed, "north")?, folder(bed, "south")?);
        let top = bed.cluster.credential_dir();
        put(bed, &north.join("north.json"))?;
        put(bed, &south.join("south.json"))?;
        put(bed, &top.join("top.json"))?;
        be(bed, "north")?;
        takes(bed, "north.json")?;
        for name in ["south.json", "top.json"] {
            refuses(bed, name, "no such file")?;
        }
        for name in ["../south/south.json", "south/south.json", "..", ".", "", "a\\b"] {
            refuses(bed, name, "plain file name")?;
        }
        // A tenant without a directory has no files, not those of everybody.
        fs::rename(&south, top.join("south.away"))?;
        be(bed, "south")?;
        refuses(bed, "south.json", "no such file")?;
        refuses(bed, "top.json", "no such file")?;
        // A link in the place of the directory.
        symlink(&north, &south)?;
        refuses(bed, "north.json", "not a directory")?;

        be(bed, "default")?;
        takes(bed, "top.json")?;
        refuses(bed, "north.json", "no such file")?;
        // Once the default tenant has a directory, its files lie there alone.
        put(bed, &folder(bed, "default")?.join("own.json"))?;
        takes(bed, "own.json")?;
        refuses(bed, "top.json", "no such file")?;

        // A sandbox has a directory of its own, under a name that file systems take.
        be(bed, "north")?;
        bed.db.batch_execute("select easysync.set_sandbox(true)")?;
        refuses(bed, "north.json", "no such file")?;
        put(bed, &folder(bed, "north+sandbox")?.join("staging.json"))?;
        takes(bed, "staging.json")
    })
}

fn files_that_others_read() -> Result<()> {
    with_bed("attack-file-modes", Setup::default(), |bed| {
        let path = bed.cluster.credential_dir().join("keys.json");
        for mode in [0o640, 0o604, 0o660, 0o644, 0o620, 0o666] {
            put(bed, &path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            refuses(bed, "keys.json", "chmod 600")?;
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            takes(bed, "keys.json")?;
        }
        Ok(())
    })
}

fn odd_files() -> Result<()> {
    with_bed("attack-odd-files", Setup::default(), |bed| {
        let top = bed.cluster.credential_dir();
        let environment = bed.cluster.environment().clone();
        put(bed, &bed.cluster.dir().join("outside.json"))?;
        put(bed, &top.join("inside.json"))?;
        symlink(bed.cluster.dir().join("outside.json"), top.join("out.json"))?;
        symlink(top.join("inside.json"), top.join("in.json"))?;
        for name in ["out.json", "in.json"] {
            refuses(bed, name, "links are not followed")?;
        }
        let pipe = top.join("pipe.json");
        ensure!(Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status()?.success());
        give(&environment, &pipe)?;
        // Nobody writes into it: a reader that waits would wait for ever.
        bed.db.batch_execute("set statement_timeout = '20s'")?;
        refuses(bed, "pipe.json", "ordinary file")?;
        folder(bed, "directory.json")?;
        refuses(bed, "directory.json", "ordinary file")?;
        private_file(
            &environment,
            &top.join("large.json"),
            &format!("{}{}", keys(), " ".repeat(70_000)),
        )?;
        refuses(bed, "large.json", "64 kB")?;
        private_file(&environment, &top.join("list.json"), "[\"cs_0123456789\"]")?;
        refuses(bed, "list.json", "JSON object")?;
        takes(bed, "inside.json")
    })
}
