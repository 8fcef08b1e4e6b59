//! Words, texts and signs of a query.

use super::parse_error;
use crate::quickbooks::fault::Checked;

/// One token, with the column it begins at (from 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: TokenKind,
    pub column: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenKind {
    /// A keyword or name, dots included.
    Word(String),
    /// What stood between quotes, unescaped.
    Text(String),
    Number(String),
    /// `=`, `!=`, `<`, `>`, `<=`, `>=`, `(`, `)`, `,`, `*`.
    Sign(&'static str),
    End,
}

impl TokenKind {
    /// As error texts name it.
    pub fn shown(&self) -> String {
        match self {
            TokenKind::Word(word) => format!("\" <IDENTIFIER> \"{word} \"\""),
            TokenKind::Text(text) => format!("\" <STRING> \"'{text}'\""),
            TokenKind::Number(number) => format!("\" <NUMBER> \"{number} \"\""),
            TokenKind::Sign(sign) => format!("\"{sign}\""),
            TokenKind::End => "<EOF>".to_owned(),
        }
    }
}

const SIGNS: [&str; 10] = ["<=", ">=", "!=", "=", "<", ">", "(", ")", ",", "*"];

/// Cuts a query into tokens.
///
/// Errors: 4000 for a text that doesn't end or a character that means nothing.
pub fn lex(text: &str) -> Checked<Vec<Token>> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = vec![];
    let mut at = 0;
    while at < chars.len() {
        let column = at + 1;
        let c = chars[at];
        if c.is_whitespace() {
            at += 1;
        } else if c == '\'' {
            let (text, end) = quoted(&chars, at)?;
            at = end;
            tokens.push(Token { kind: TokenKind::Text(text), column });
        } else if c.is_ascii_digit()
            || (c == '-' && chars.get(at + 1).is_some_and(char::is_ascii_digit))
        {
            let end = end_of(&chars, at + 1, |c| c.is_ascii_alphanumeric() || c == '.');
            tokens.push(Token { kind: TokenKind::Number(chars[at..end].iter().collect()), column });
            at = end;
        } else if c.is_alphabetic() || c == '_' {
            let end = end_of(&chars, at, |c| c.is_alphanumeric() || c == '_' || c == '.');
            tokens.push(Token { kind: TokenKind::Word(chars[at..end].iter().collect()), column });
            at = end;
        } else {
            let rest: String = chars[at..chars.len().min(at + 2)].iter().collect();
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| {
                parse_error(format!(
                    "Lexical error at line 1, column {column}.  Encountered: \"{c}\""
                ))
            })?;
            tokens.push(Token { kind: TokenKind::Sign(sign), column });
            at += sign.len();
        }
    }
    tokens.push(Token { kind: TokenKind::End, column: chars.len() + 1 });
    Ok(tokens)
}

fn end_of(chars: &[char], from: usize, belongs: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|at| !belongs(chars[*at])).unwrap_or(chars.len())
}

/// The text from an opening quote on, and where it ends.
fn quoted(chars: &[char], open: usize) -> Checked<(String, usize)> {
    let mut text = String::new();
    let mut at = open + 1;
    while at < chars.len() {
        match chars[at] {
            '\'' => return Ok((text, at + 1)),
            '\\' => {
                text.extend(chars.get(at + 1));
                at += 2;
            }
            c => {
                text.push(c);
                at += 1;
            }
        }
    }
    let column = open + 1;
    Err(parse_error(format!("Lexical error at line 1, column {column}.  Encountered: <EOF>")))
}
