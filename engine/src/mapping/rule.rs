//! Rules as people write them, and what becomes of the defaults under their changes.

use serde::Serialize;
use serde_json::Value;

/// One mapping rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// A hub column, `<json column>.<key>` (`attributes.weight`), or `lines[].<column>`.
    pub target: String,
    /// Where the value comes from; None: from `default` alone, or from nowhere.
    pub source: Option<String>,
    pub transform: Option<String>,
    /// Taken where the source has no value.
    pub default: Option<Value>,
    /// A record without this value fails.
    pub required: bool,
    pub comment: Option<String>,
    pub origin: Origin,
}

/// Where a rule in force comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Default,
    Changed,
    Added,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::Changed => "changed",
            Origin::Added => "added",
        }
    }
}

/// One problem of a rule: row of `easysync.validate_mapping`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `error` or `warning`.
    pub severity: &'static str,
    pub target_path: Option<String>,
    pub source_path: Option<String>,
    /// `not_a_list`, `bad_rule`, `unknown_key`, `duplicate_target`, `unknown_target`,
    /// `fixed_target`, `target_clash`, `bad_path`, `unknown_context`, `bad_transform`,
    /// `type_mismatch`, `bad_default`, `missing_target`.
    pub code: &'static str,
    pub message: String,
    pub hint: String,
}

impl Problem {
    pub fn error(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Problem {
            severity: "error",
            target_path: None,
            source_path: None,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    pub fn of(mut self, rule: &Rule) -> Self {
        self.target_path = Some(rule.target.clone());
        self.source_path = rule.source.clone();
        self
    }
}

const KEYS: [&str; 6] = ["target", "source", "transform", "default", "required", "comment"];

/// Reads rules from their JSON form; every problem is told.
pub fn parse(rules: &Value) -> Result<Vec<Rule>, Vec<Problem>> {
    let Some(list) = rules.as_array() else {
        return Err(vec![Problem::error(
            "not_a_list",
            "the rules are not a JSON array",
            "Give [{\"target\": ..., \"source\": ...}, ...].",
        )]);
    };
    let mut problems = Vec::new();
    let mut out: Vec<Rule> = Vec::with_capacity(list.len());
    for (i, value) in list.iter().enumerate() {
        if let Some(rule) = parse_one(i, value, &mut problems) {
            if out.iter().any(|other| other.target == rule.target) {
                problems.push(
                    Problem::error(
                        "duplicate_target",
                        format!("two rules have the target \"{}\"", rule.target),
                        "Keep one of them; `a ?? b` in the source takes the first that has a value.",
                    )
                    .of(&rule),
                );
            }
            out.push(rule);
        }
    }
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

fn parse_one(i: usize, value: &Value, problems: &mut Vec<Problem>) -> Option<Rule> {
    let bad = |code, message: String| {
        Problem::error(code, message, format!("Keys of a rule: {}.", KEYS.join(", ")))
    };
    let Some(object) = value.as_object() else {
        problems.push(bad("bad_rule", format!("rule {} is not a JSON object", i + 1)));
        return None;
    };
    let Some(target) = object.get("target").and_then(Value::as_str).filter(|t| !t.is_empty())
    else {
        problems.push(bad("bad_rule", format!("rule {} has no target", i + 1)));
        return None;
    };
    let before = problems.len();
    for key in object.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        let mut problem = bad("unknown_key", format!("unknown key \"{key}\" in the rule"));
        problem.target_path = Some(target.to_owned());
        problems.push(problem);
    }
    let mut text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            let mut problem = bad("bad_rule", format!("\"{key}\" is not a text"));
            problem.target_path = Some(target.to_owned());
            problems.push(problem);
            None
        }
    };
    let (source, transform, comment) = (text("source"), text("transform"), text("comment"));
    let required = match object.get("required") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(required)) => *required,
        Some(_) => {
            let mut problem = bad("bad_rule", "\"required\" is neither true nor false".into());
            problem.target_path = Some(target.to_owned());
            problems.push(problem);
            false
        }
    };
    let default = object.get("default").filter(|value| !value.is_null()).cloned();
    (problems.len() == before).then(|| Rule {
        target: target.to_owned(),
        source,
        transform,
        default,
        required,
        comment,
        origin: Origin::Default,
    })
}

/// The rules in force: each change takes the place of the default with its target, the rest is
/// added. A change without source and default switches the default off.
pub fn merge(defaults: &[Rule], changes: &[Rule]) -> Vec<Rule> {
    let mut merged = defaults.to_vec();
    for change in changes {
        let mut rule = change.clone();
        match merged.iter_mut().find(|rule| rule.target == change.target) {
            Some(slot) => {
                rule.origin = Origin::Changed;
                *slot = rule;
            }
            None => {
                rule.origin = Origin::Added;
                merged.push(rule);
            }
        }
    }
    merged
}
