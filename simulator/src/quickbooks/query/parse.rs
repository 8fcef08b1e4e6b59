//! From tokens to a query.

use super::lex::{Token, TokenKind, lex};
use super::{invalid, parse_error};
use crate::quickbooks::fault::{Checked, Fault};
use crate::quickbooks::kind::Kind;

/// What is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    All,
    Count,
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    In,
    Like,
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Bool(bool),
    CurrentDate,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub property: String,
    pub operator: Operator,
    pub values: Vec<Value>,
}

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub select: Select,
    pub kind: Kind,
    pub conditions: Vec<Condition>,
    /// Properties, and true for descending.
    pub order: Vec<(String, bool)>,
    /// From 1.
    pub start: usize,
    pub max: usize,
}

/// Rows without a `MAXRESULTS`, and the most that may be asked for.
const DEFAULT_MAX: usize = 100;
const LARGEST_MAX: usize = 1000;

/// Reads a query.
///
/// Errors: 4000 for what is no query, 4001 for numbers out of range.
pub fn parse(text: &str) -> Checked<Query> {
    let mut tokens = Tokens { all: lex(text)?, at: 0 };
    tokens.keyword("SELECT")?;
    let select = tokens.selection()?;
    tokens.keyword("FROM")?;
    let kind = tokens.entity()?;
    let mut query =
        Query { select, kind, conditions: vec![], order: vec![], start: 1, max: DEFAULT_MAX };
    if tokens.has("WHERE") {
        query.conditions.push(tokens.condition()?);
        while tokens.has("AND") {
            query.conditions.push(tokens.condition()?);
        }
    }
    let ordered = tokens.has("ORDERBY") || (tokens.has("ORDER") && tokens.keyword("BY").is_ok());
    if ordered {
        query.order.push(tokens.order()?);
        while tokens.sign(",") {
            query.order.push(tokens.order()?);
        }
    }
    if tokens.has("STARTPOSITION") {
        query.start = tokens.number()?;
    }
    if tokens.has("MAXRESULTS") {
        query.max = tokens.number()?;
    }
    tokens.end()?;
    check_range(query.start, usize::MAX)?;
    check_range(query.max, LARGEST_MAX)?;
    Ok(query)
}

fn check_range(value: usize, largest: usize) -> Checked<()> {
    if value < 1 {
        return Err(invalid(&format!("value {value} is too small. Min allowed value is 1")));
    }
    if value > largest {
        return Err(invalid(&format!(
            "value {value} is too large. Max allowed value is {largest}"
        )));
    }
    Ok(())
}

struct Tokens {
    all: Vec<Token>,
    at: usize,
}

impl Tokens {
    fn peek(&self) -> &TokenKind {
        self.all.get(self.at).map_or(&TokenKind::End, |token| &token.kind)
    }

    fn unexpected(&self) -> Fault {
        let column = self.all.get(self.at).map_or(1, |token| token.column);
        parse_error(format!(
            "QueryParserError: Encountered {} at line 1, column {column}.",
            self.peek().shown()
        ))
    }

    fn next(&mut self) -> TokenKind {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn has(&mut self, keyword: &str) -> bool {
        let there = matches!(self.peek(), TokenKind::Word(w) if w.eq_ignore_ascii_case(keyword));
        self.at += usize::from(there);
        there
    }

    fn keyword(&mut self, keyword: &str) -> Checked<()> {
        if self.has(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn sign(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), TokenKind::Sign(s) if *s == sign);
        self.at += usize::from(there);
        there
    }

    fn word(&mut self) -> Checked<String> {
        match self.peek().clone() {
            TokenKind::Word(word) => {
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn selection(&mut self) -> Checked<Select> {
        if self.sign("*") {
            return Ok(Select::All);
        }
        if self.has("COUNT") {
            let closed = self.sign("(") && self.sign("*") && self.sign(")");
            return if closed { Ok(Select::Count) } else { Err(self.unexpected()) };
        }
        // Column lists are taken; whole records come back.
        self.word()?;
        while self.sign(",") {
            self.word()?;
        }
        Ok(Select::All)
    }

    fn entity(&mut self) -> Checked<Kind> {
        let name = self.word()?;
        Kind::named(&name).ok_or_else(|| invalid(&format!("Metadata not found for Entity: {name}")))
    }

    fn condition(&mut self) -> Checked<Condition> {
        let property = self.word()?;
        let operator = match self.peek() {
            TokenKind::Sign("=") => Operator::Equal,
            TokenKind::Sign("!=") => Operator::NotEqual,
            TokenKind::Sign("<") => Operator::Less,
            TokenKind::Sign(">") => Operator::Greater,
            TokenKind::Sign("<=") => Operator::LessOrEqual,
            TokenKind::Sign(">=") => Operator::GreaterOrEqual,
            TokenKind::Word(word) if word.eq_ignore_ascii_case("IN") => Operator::In,
            TokenKind::Word(word) if word.eq_ignore_ascii_case("LIKE") => Operator::Like,
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        let values = match operator {
            Operator::In => self.list()?,
            _ => vec![self.value()?],
        };
        Ok(Condition { property, operator, values })
    }

    fn list(&mut self) -> Checked<Vec<Value>> {
        if !self.sign("(") {
            return Err(self.unexpected());
        }
        let mut values = vec![self.value()?];
        while self.sign(",") {
            values.push(self.value()?);
        }
        if self.sign(")") { Ok(values) } else { Err(self.unexpected()) }
    }

    fn value(&mut self) -> Checked<Value> {
        let value = match self.peek() {
            TokenKind::Text(text) => Value::Text(text.clone()),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("true") => Value::Bool(true),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("false") => Value::Bool(false),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("CURRENT_DATE") => {
                Value::CurrentDate
            }
            // Numbers, too, must be quoted.
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(value)
    }

    fn order(&mut self) -> Checked<(String, bool)> {
        let property = self.word()?;
        let descending = self.has("DESC");
        if !descending {
            self.has("ASC");
        }
        Ok((property, descending))
    }

    fn number(&mut self) -> Checked<usize> {
        match self.peek() {
            TokenKind::Number(digits) => match digits.parse::<i64>() {
                Ok(number) => {
                    self.next();
                    Ok(usize::try_from(number).unwrap_or(0))
                }
                Err(_) => Err(self.unexpected()),
            },
            _ => Err(self.unexpected()),
        }
    }

    fn end(&self) -> Checked<()> {
        if *self.peek() == TokenKind::End { Ok(()) } else { Err(self.unexpected()) }
    }
}
