//! Where a rule takes its value from: `billing.email`, `line_items[].price`,
//! `meta_data[key=erp_ref].value`, `{first_name} {last_name} ?? username`, `$currency`.

/// One step into a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Key(Box<str>),
    /// Every element of an array: the value becomes a list.
    All,
    /// One element of an array, counted from 0.
    Index(usize),
    /// The first element of an array whose member has that text: `[key=erp_ref]`.
    Where(Box<str>, Box<str>),
}

/// A path, from the record or (`$name...`) from what the connector adds to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Name after the `$`: something that the record doesn't say itself.
    pub context: Option<Box<str>>,
    pub steps: Vec<Step>,
}

/// A piece of a template: text as it stands, or the value of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(Box<str>),
    Path(Path),
}

/// One of the alternatives of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alternative {
    Path(Path),
    /// `{first_name} {last_name}`: what is absent leaves no separator behind.
    Template(Vec<Part>),
}

/// A parsed source: the first alternative that has a value counts (`a ?? b`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub alternatives: Vec<Alternative>,
}

impl Source {
    /// Parses a source. The error says what is wrong, in words for a person.
    pub fn parse(text: &str) -> Result<Source, String> {
        let alternatives =
            text.split("??").map(|part| alternative(part.trim())).collect::<Result<Vec<_>, _>>()?;
        Ok(Source { alternatives })
    }

    /// Every path that the source names.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.alternatives.iter().flat_map(|alternative| match alternative {
            Alternative::Path(path) => std::slice::from_ref(path).iter().collect::<Vec<_>>(),
            Alternative::Template(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Path(path) => Some(path),
                    Part::Literal(_) => None,
                })
                .collect(),
        })
    }
}

fn alternative(text: &str) -> Result<Alternative, String> {
    if text.is_empty() {
        return Err("an alternative is empty".into());
    }
    if !text.contains('{') {
        return Ok(Alternative::Path(path(text)?));
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            parts.push(Part::Literal(rest[..open].into()));
        }
        let close = rest[open..].find('}').ok_or("a \"{\" is not closed")? + open;
        parts.push(Part::Path(path(rest[open + 1..close].trim())?));
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.into()));
    }
    Ok(Alternative::Template(parts))
}

/// Parses one path.
pub fn path(text: &str) -> Result<Path, String> {
    let (context, mut rest) = match text.strip_prefix('$') {
        None => (None, text),
        Some(named) => {
            let end = named.find(['.', '[']).unwrap_or(named.len());
            if end == 0 {
                return Err("there is no name after \"$\"".into());
            }
            (Some(named[..end].into()), &named[end..])
        }
    };
    let mut steps = Vec::new();
    let mut first = context.is_none();
    while !rest.is_empty() {
        if rest.starts_with('[') {
            rest = bracket(rest, &mut steps)?;
        } else {
            rest = match rest.strip_prefix('.') {
                Some(after) => after,
                None if first => rest,
                None => return Err(format!("\".\" is missing before \"{rest}\"")),
            };
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let key = &rest[..end];
            if key.is_empty() || key.contains([']', '{', '}', '"', '|']) {
                return Err(format!("\"{key}\" is no name of a member"));
            }
            steps.push(Step::Key(key.into()));
            rest = &rest[end..];
        }
        first = false;
    }
    if steps.is_empty() && context.is_none() {
        return Err("the path is empty".into());
    }
    Ok(Path { context, steps })
}

/// One `[...]`: `[]`, `[3]`, `["a key"]`, `[key=value]`.
fn bracket<'t>(text: &'t str, steps: &mut Vec<Step>) -> Result<&'t str, String> {
    let inner = &text[1..];
    if inner.starts_with('"') {
        let mut stream = serde_json::Deserializer::from_str(inner).into_iter::<String>();
        let key = match stream.next() {
            Some(Ok(key)) => key,
            _ => return Err(format!("{inner} is no quoted name")),
        };
        let after = &inner[stream.byte_offset()..];
        steps.push(Step::Key(key.into()));
        return after.strip_prefix(']').ok_or_else(|| "a \"[\" is not closed".into());
    }
    let close = inner.find(']').ok_or("a \"[\" is not closed")?;
    let body = inner[..close].trim();
    steps.push(if body.is_empty() {
        Step::All
    } else if let Some((key, value)) = body.split_once('=') {
        Step::Where(key.trim().into(), value.trim().trim_matches('"').into())
    } else {
        let index = body.parse().map_err(|_| format!("\"[{body}]\" is no place in a list"))?;
        Step::Index(index)
    });
    Ok(&inner[close + 1..])
}
