//! The harness itself: what every other test leans on.

use easysync_tests::cluster::{Cluster, Options, Stop};
use easysync_tests::environment::Environment;

#[test]
fn a_cluster_starts_stops_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let environment = Environment::find()?;
    let options = Options { preload: false, ..Options::default() };
    let mut cluster = Cluster::create(&environment, "test-harness")?;
    cluster.configure(&options)?;
    cluster.start()?;
    let one: i32 = cluster.client("postgres")?.query_one("select 1", &[])?.get(0);
    assert_eq!(one, 1);
    assert!(cluster.is_running());

    cluster.stop(Stop::Immediate)?;
    assert!(!cluster.is_running());
    cluster.start()?;
    assert!(cluster.client("postgres").is_ok());

    let dir = cluster.dir().to_path_buf();
    cluster.remove()?;
    assert!(!dir.exists());
    Ok(())
}
