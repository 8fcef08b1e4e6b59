//! A short run of `make torture`: whatever breaks at random points of pulls, the hub equals the
//! shop in the end.

use anyhow::Result;
use easysync_tests::environment::Environment;
use easysync_tests::torture::{Plan, run};

#[test]
fn the_hub_equals_the_shop_whatever_breaks() -> Result<()> {
    let plan = Plan { seed: 20_261_120, points: 15, orders: 300 };
    let report = run(&Environment::find()?, "test-torture", &plan, |line| println!("{line}"))?;
    assert!(report.is_well(), "{report}");
    Ok(())
}
