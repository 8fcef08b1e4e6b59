//! The table in `docs/reference/posting.md` names each case and test here, and nothing else: a
//! reader can see for each sentence of the policy what shows it.

use crate::desk::Group;
use crate::{amounts, currencies, documents, lost, people, settings, statuses, there};
use anyhow::{Context, Result, ensure};
use easysync_tests::environment::Environment;
use std::collections::BTreeSet;
use std::path::Path;

const TABLE: &str = "docs/reference/posting.md";

/// `group/case` of every case.
fn cases() -> BTreeSet<String> {
    let modules: [fn() -> Vec<Group>; 8] = [
        statuses::groups,
        documents::groups,
        people::groups,
        settings::groups,
        amounts::groups,
        currencies::groups,
        there::groups,
        lost::groups,
    ];
    let groups = modules.iter().flat_map(|groups| groups());
    groups.flat_map(|group| group.names()).collect()
}

/// What stands between back quotes in the last column of the table.
fn named(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.trim_end().strip_suffix('|'));
    let cells = rows.filter_map(|row| row.rsplit_once('|').map(|(_, last)| last));
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted.map(str::to_owned).collect()
}

/// Functions of the tests in a folder's files.
fn functions(dir: &Path) -> Result<String> {
    let mut all = String::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("{}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            all += &std::fs::read_to_string(path)?;
        }
    }
    Ok(all)
}

#[test]
fn each_sentence_of_the_policy_names_a_test_that_is_there() -> Result<()> {
    let root = Environment::find()?.root;
    let text = std::fs::read_to_string(root.join(TABLE)).context(TABLE)?;
    let (named, cases) = (named(&text), cases());
    let untold: Vec<_> = cases.difference(&named).collect();
    ensure!(untold.is_empty(), "{TABLE} doesn't name {untold:#?}");
    let tests = root.join("tests/tests");
    let source = functions(&tests)? + &functions(&tests.join("posting_policy"))?;
    let exists = |name: &&String| cases.contains(*name) || source.contains(&format!("fn {name}("));
    let missing: Vec<_> = named.iter().filter(|name| !exists(name)).collect();
    ensure!(missing.is_empty(), "{TABLE} names {missing:#?}, which are no tests");
    Ok(())
}
