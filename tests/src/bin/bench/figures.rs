//! What was measured, printed and written to `target/bench.json`.

use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    /// For reading only.
    None,
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Target::AtLeast(bound) => value >= bound,
            Target::AtMost(bound) => value <= bound,
            Target::Below(bound) => value < bound,
            Target::None => true,
        }
    }

    fn text(self) -> String {
        match self {
            Target::AtLeast(bound) => format!(">={bound}"),
            Target::AtMost(bound) => format!("<={bound}"),
            Target::Below(bound) => format!("<{bound}"),
            Target::None => "-".into(),
        }
    }
}

/// All figures of a run of the benchmark.
#[derive(Debug, Default)]
pub struct Figures {
    lines: Vec<Value>,
    missed: usize,
}

impl Figures {
    /// Prints `name value unit target` and keeps it for the file.
    pub fn add(&mut self, name: &str, value: f64, unit: &str, target: Target) {
        let met = target.is_met(value);
        let mark = if met { "" } else { "  MISSED" };
        println!("{name} {value:.4} {unit} {}{mark}", target.text());
        if !met {
            self.missed += 1;
        }
        self.lines.push(json!({
            "name": name, "value": value, "unit": unit, "target": target.text(), "met": met,
        }));
    }

    pub fn missed(&self) -> usize {
        self.missed
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, format!("{:#}\n", Value::from(self.lines.clone())))?;
        Ok(())
    }
}
