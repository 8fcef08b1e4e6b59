//! The hub's orders on a small file system that can be filled up: only root can mount one.

use crate::bed::Bed;
use crate::process::{private_dir, run};
use anyhow::{Context, Result};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

const MEGABYTES: usize = 64;

/// Mounted until it is dropped, after the server has gone.
pub struct SmallDisk {
    mount: PathBuf,
}

impl SmallDisk {
    /// Moves the orders of the hub to a small file system; None: we may not mount.
    pub fn mount(bed: &mut Bed) -> Result<Option<Self>> {
        let environment = bed.cluster.environment().clone();
        // Postgres runs as another user exactly when we are root.
        if environment.pg_user.is_none() {
            return Ok(None);
        }
        let mount = bed.cluster.dir().join("small");
        private_dir(&environment, &mount)?;
        let size = format!("size={MEGABYTES}m,mode=0755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&mount)
            .status()
            .context("mount")?;
        if !mounted.success() {
            // A container without the right to mount.
            return Ok(None);
        }
        let disk = Self { mount };
        let space = disk.mount.join("tablespace");
        private_dir(&environment, &space)?;
        bed.db.batch_execute(&format!("create tablespace small location '{}'", space.display()))?;
        for table in ["orders", "order_lines"] {
            bed.db.batch_execute(&format!("alter table commerce.{table} set tablespace small"))?;
        }
        Ok(Some(disk))
    }

    fn ballast(&self) -> PathBuf {
        self.mount.join("ballast")
    }

    /// Takes all the space that is left.
    pub fn fill(&self) -> Result<()> {
        let mut file = fs::File::create(self.ballast())?;
        let block = vec![0u8; 64 * 1024];
        while file.write_all(&block).is_ok() {}
        Ok(())
    }

    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.ballast()).context("the ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg("-l").arg(&self.mount)) {
            eprintln!("{} stays mounted: {error:#}", self.mount.display());
        }
    }
}
