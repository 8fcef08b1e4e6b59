//! Text that QuickBooks takes: valid XML 1.0, without blanks at the ends, no longer than the field
//! (quickbooks.md, 4.1).

/// Removes what XML doesn't allow, makes every run of blanks one, cuts to `max` characters. Names
/// that differ in blanks only are duplicates there.
pub fn line(text: &str, max: usize) -> String {
    let words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .map(|word| word.chars().filter(|c| is_allowed(*c)).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect();
    cut(&words.join(" "), max)
}

/// As [`line`], and keeps line breaks.
pub fn block(text: &str, max: usize) -> String {
    let lines: Vec<String> = text.lines().map(|one| line(one, max)).collect();
    cut(lines.join("\n").trim(), max)
}

/// A name: besides, no colon, which separates a name from its parent's.
pub fn name(text: &str, max: usize) -> String {
    line(&text.replace(':', " "), max)
}

/// A name with something put after it, both together no longer than `max`.
pub fn name_with(text: &str, suffix: &str, max: usize) -> String {
    let room = max.saturating_sub(suffix.chars().count());
    format!("{}{suffix}", name(text, room))
}

fn cut(text: &str, max: usize) -> String {
    text.chars().take(max).collect::<String>().trim_end().to_owned()
}

/// XML 1.0, section 2.2; invisible marks are left out besides.
fn is_allowed(c: char) -> bool {
    !matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' | '\u{feff}' | '\u{200b}')
}

/// An e-mail address that QuickBooks takes (2210): at most 100 characters, one @ with a name before
/// and a domain after it. None: better none than a refused document.
pub fn email(text: Option<&str>) -> Option<String> {
    let text = text?.trim();
    let (name, domain) = text.split_once('@')?;
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && !part.contains("..")
            && part
                .chars()
                .all(|c| !c.is_whitespace() && !c.is_control() && !"@<>()[],;:\\\"".contains(c))
    };
    let good = plain(name) && plain(domain) && domain.contains('.') && text.chars().count() <= 100;
    good.then(|| text.to_owned())
}
