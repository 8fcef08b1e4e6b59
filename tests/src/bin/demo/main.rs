//! `make demo`: connects a recorded shop, syncs it, checks every figure against the shop's own
//! records; pushes it into five companies' books and checks them against the table of the posting
//! policy; then changes three orders and shows that the next syncs write exactly those.

mod books;
mod report;
mod shop;

use anyhow::Result;
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::cluster::Options;
use easysync_tests::environment::Environment;
use report::Report;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let environment = Environment::find()?;
    let setup =
        Setup { cluster: Options { fsync: true, ..Options::default() }, ..Setup::default() };
    println!(
        "Starting a private Postgres with the extension, a simulated shop and simulated books ..."
    );
    let mut bed = Bed::start(&environment, "demo", &setup)?;
    let mut report = Report::default();
    let outcome = demonstrate(&mut bed, &mut report);
    let log = bed.cluster.log_file();
    let well = outcome.is_ok() && report.problems.is_empty();
    bed.stop(well)?;
    if well {
        println!("\nEverything agrees. To play with it yourself: make up, make psql.");
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &report.problems {
        eprintln!("WRONG: {problem}");
    }
    eprintln!("The server's log is in {}", log.display());
    outcome?;
    Ok(ExitCode::FAILURE)
}

fn demonstrate(bed: &mut Bed, report: &mut Report) -> Result<()> {
    shop::first_sync(bed, report)?;
    let companies = books::open_all(bed, report)?;
    let changed = shop::second_sync(bed, report)?;
    books::follow(bed, &companies, &changed, report)?;
    books::ignore_touches(bed, &companies, &changed, report)
}
