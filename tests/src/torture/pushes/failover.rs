//! A primary that is killed after it sent something, and a standby that takes its place with less
//! than the primary had.

use super::Torture;
use crate::cluster::Stop;
use crate::torture::breaking;
use anyhow::{Context, Result};

/// Makes a standby, before the push begins. Half of them follow the primary to its end and lose
/// what wasn't streamed yet; the others are away meanwhile, and lose everything from here on:
/// orders, intents, links, tokens.
pub fn prepare(torture: &mut Torture) -> Result<()> {
    let name = format!("{}-node-{}", torture.name, torture.failovers + 1);
    let mut standby = torture.bed.cluster.base_backup(&name, true)?;
    if torture.random.bool() {
        standby.start()?;
    }
    torture.standby = Some(standby);
    Ok(())
}

/// Kills the primary, and promotes the standby.
pub fn fail_over(torture: &mut Torture) -> Result<()> {
    let mut standby = torture.standby.take().context("no standby was prepared")?;
    torture.bed.cluster.stop(Stop::Immediate)?;
    if !standby.is_running() {
        standby.start()?;
    }
    standby.promote()?;
    torture.crashes += breaking::crashes(&torture.bed);
    let mut old = std::mem::replace(&mut torture.bed.cluster, standby);
    match torture.origin {
        None => torture.origin = Some(old),
        Some(_) => old.remove()?,
    }
    torture.failovers += 1;
    torture.bed.reconnect_patiently()
}
