//! Short runs of `make torture`: whatever breaks at random points of pulls and pushes, the hub and
//! the books equal the shop in the end.

use anyhow::Result;
use easysync_tests::environment::Environment;
use easysync_tests::torture::{Plan, Target, run};

fn torture(name: &str, plan: Plan) -> Result<()> {
    let report = run(&Environment::find()?, name, &plan, |line| println!("{line}"))?;
    assert!(report.is_well(), "{report}");
    Ok(())
}

#[test]
fn the_hub_equals_the_shop_whatever_breaks() -> Result<()> {
    let target = Target::Pulls;
    let plan = Plan { target, seed: 20_261_120, points: 15, between_looks: 10, orders: 300 };
    torture("test-torture", plan)
}

#[test]
fn the_books_equal_the_shop_whatever_breaks() -> Result<()> {
    let target = Target::Pushes;
    let plan = Plan { target, seed: 20_261_120, points: 8, between_looks: 8, orders: 0 };
    torture("test-torture-books", plan)
}
