//! Answers that no WooCommerce would give: too many, too deep, without end.

mod lists;
mod records;
mod wire;

use super::Attack;
use super::yard::in_yard;
use anyhow::{Result, ensure};
use easysync_tests::hostile::{Asked, Hostile, Reply};
use easysync_tests::run::Run;

pub const CLASS: &str = "a compromised shop";

pub fn attacks() -> Vec<Attack> {
    [lists::ATTACKS, records::ATTACKS, wire::ATTACKS].concat()
}

/// How a run ends that met a hostile answer.
enum Ends {
    /// With one of these codes.
    Failed(&'static [&'static str]),
    /// With at least so many failed records, by a message that holds the text; the rest lands.
    Partly(i64, &'static str),
    /// Well: the answer is odd and can be read.
    Well,
}

/// A full run of products against a shop whose lists of products are answered so.
fn products(answer: fn(&Asked) -> Reply, ends: Ends) -> Result<()> {
    shop("products", answer, ends)
}

/// A full run of the entity against a shop that answers so; where it asks for the currency or for
/// other lists, it is told what a shop without records tells.
fn shop(entity: &'static str, answer: fn(&Asked) -> Reply, ends: Ends) -> Result<()> {
    let hostile = serve(entity, answer)?;
    in_yard(|yard| {
        let connection = yard.connect(&hostile)?;
        let run = yard.run(&connection, entity, "full")?;
        let failures = yard.failures(&connection)?;
        judge(&run, &failures, ends)?;
        yard.disconnect(&connection)
    })
}

fn serve(entity: &str, answer: fn(&Asked) -> Reply) -> Result<Hostile> {
    let list = format!("/wp-json/wc/v3/{entity}");
    Hostile::start(move |asked| match asked.path.as_str() {
        path if path.starts_with(&list) => answer(asked),
        "/wp-json/wc/v3/data/currencies/current" => Reply::json(r#"{"code":"EUR"}"#),
        _ => Reply::json_with("x-wp-total: 0\r\n", "[]"),
    })
}

/// A list of a shop, and how it is answered.
type Listed = (&'static str, fn(&Asked) -> Reply);

/// Full runs against several shops at once, each of another entity: those of one go one by one.
fn at_once(lists: &[Listed], judge: fn(&Run) -> Result<()>) -> Result<()> {
    in_yard(|yard| {
        let mut runs = Vec::new();
        for (entity, answer) in lists {
            runs.push((yard.connect(&serve(entity, *answer)?)?, *entity));
        }
        yard.run_all(&runs, "full")?.iter().try_for_each(judge)?;
        runs.iter().try_for_each(|(connection, _)| yard.disconnect(connection))
    })
}

fn judge(run: &Run, failures: &[(String, String)], ends: Ends) -> Result<()> {
    match ends {
        Ends::Failed(codes) => {
            let code = run.error_code.as_deref().unwrap_or_default();
            ensure!(run.status == "failed" && codes.contains(&code), "{run:?}");
            // It names whose answer it was, or which list.
            let message = run.error_message.as_deref().unwrap_or_default();
            let named = message.contains("127.0.0.1") || message.contains("list");
            ensure!(named, "it names no answer: {run:?}");
            ensure!(message.len() < 3000 && !message.contains(char::is_control), "{message:?}");
        }
        Ends::Partly(count, text) => {
            ensure!(run.status == "partial" && run.failed >= count, "{run:?}");
            let named = failures.iter().any(|(_, message)| message.contains(text));
            ensure!(named, "{failures:?}");
        }
        Ends::Well => ensure!(run.status == "succeeded", "{run:?} {failures:?}"),
    }
    Ok(())
}
