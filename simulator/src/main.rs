//! The simulators as a program: `simulator --state-file target/dev/simulators.json`.

use clap::Parser;
use jiff::Timestamp;
use simulator::woocommerce::Source;
use simulator::{Options, state_file, woocommerce};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Stand-in platforms on 127.0.0.1 for easysync's demo, tests and benchmarks.
#[derive(Parser)]
struct Arguments {
    /// Where to write addresses, keys and the CA's path once everything answers.
    #[arg(long)]
    state_file: Option<PathBuf>,
    /// A folder with a shop's records; by default the recorded shop.
    #[arg(long, conflicts_with_all = ["generate", "prerendered"])]
    shop: Option<PathBuf>,
    /// A shop with so many generated orders instead.
    #[arg(long, value_name = "ORDERS", conflicts_with = "prerendered")]
    generate: Option<u64>,
    /// Serve pages of so many pre-rendered orders, read-only and as fast as possible.
    #[arg(long, value_name = "ORDERS")]
    prerendered: Option<u64>,
    /// Seed of whatever is generated.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The shop's time zone.
    #[arg(long, default_value = "America/New_York")]
    timezone: String,
    /// Where the clock starts; by default the later of now and 2026-11-24.
    #[arg(long, value_name = "TIME")]
    start: Option<Timestamp>,
    /// Deliver webhooks to loopback addresses and any port, which a shop by default refuses.
    #[arg(long)]
    deliver_to_loopback: bool,
    /// Deliver webhooks so many milliseconds after the event.
    #[arg(long, value_name = "MS", default_value_t = 50)]
    delivery_delay: u64,
    /// Count calls without logging them.
    #[arg(long)]
    no_call_log: bool,
    /// Ports in place of free ones: control API, then http and https of each platform.
    #[arg(long, value_delimiter = ',')]
    ports: Vec<u16>,
}

impl Arguments {
    fn options(self) -> Options {
        let seed = self.seed;
        let source = match (self.shop, self.generate, self.prerendered) {
            (Some(folder), ..) => Source::Folder(folder),
            (_, Some(orders), _) => Source::Generated { orders, seed },
            (.., Some(orders)) => Source::Prerendered { orders, seed },
            _ => Source::Recorded,
        };
        Options {
            start: self.start,
            woocommerce: woocommerce::Options {
                source,
                timezone: self.timezone,
                deliver_to_loopback: self.deliver_to_loopback,
                delivery_delay: std::time::Duration::from_millis(self.delivery_delay),
            },
            quickbooks: simulator::quickbooks::Options {
                seed,
                ..simulator::quickbooks::Options::default()
            },
            no_call_log: self.no_call_log,
            ports: self.ports,
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), simulator::error::Error> {
    let state_file = arguments.state_file.clone();
    let handle = simulator::start(arguments.options()).await?;
    println!("control API at {}", handle.control);
    for platform in &handle.platforms {
        let addresses = &platform.addresses;
        println!("{} at {} and {}", platform.name(), addresses.https, addresses.http);
    }
    if let Some(path) = &state_file {
        state_file::write(&handle, path)?;
        println!("all of it in {}", path.display());
    }
    let mut terminate = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(stream) => {
                stream.recv().await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = handle.stopped() => {}
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    handle.shutdown();
    Ok(())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start a runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(arguments));
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulator: {error}");
            ExitCode::FAILURE
        }
    }
}
