//! The named transforms as people see them: `easysync.transforms()` and the docs.

/// One named transform. The tests run every example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransformInfo {
    pub name: &'static str,
    /// In brackets where it can be left out; empty: it takes none.
    pub arguments: &'static str,
    pub description: &'static str,
    /// A JSON value, then ` | `, then the transform.
    pub example: &'static str,
    /// What the example gives, as JSON.
    pub result: &'static str,
}

const fn info(
    name: &'static str,
    arguments: &'static str,
    description: &'static str,
    example: &'static str,
    result: &'static str,
) -> TransformInfo {
    TransformInfo { name, arguments, description, example, result }
}

/// All transforms, by name. NUL is taken out of every text and JSON value without being asked.
#[rustfmt::skip]
pub const CATALOGUE: &[TransformInfo] = &[
    info("abs", "", "The number without its sign.", r#""-49.14" | abs"#, r#""49.14""#),
    info("boolean", "", "true, yes, on and 1 to true; false, no, off and 0 to false; all else is an error.", r#""yes" | boolean"#, "true"),
    info("concat", "[separator]", "Joins the texts of a list; without an argument by a blank. What is absent is left out.", r#"["a","","b"] | concat(", ")"#, r#""a, b""#),
    info("count", "", "How many elements a list has.", "[3,4] | count", "2"),
    info("decimal", "", "A number, from a number or a text; \"\" is absent, garbage is an error.", r#""1.5e2" | decimal"#, r#""150""#),
    info("default", "value", "The argument where there is no value.", r#""" | default(none)"#, r#""none""#),
    info("digits", "", "The digits 0 to 9 of a text.", r#""+1 (212) 555" | digits"#, r#""1212555""#),
    info("empty_to_null", "", "Null for \"\", [] and {}.", "[] | empty_to_null", "null"),
    info("first", "", "The first element of a list.", "[3,4] | first", "3"),
    info("integer", "", "A whole number; a fraction is an error.", r#""12.0" | integer"#, "12"),
    info("json", "", "The value as JSON, in canonical form.", r#"{"b":1,"a":[true]} | json"#, r#"{"a":[true],"b":1}"#),
    info("last", "", "The last element of a list.", "[3,4] | last", "4"),
    info("local_time", "zone", "A time without offset, read as that zone's clock.", r#""2026-07-01T12:00:00" | local_time(Europe/Berlin)"#, r#""2026-07-01T10:00:00Z""#),
    info("lower", "", "Lower case.", r#""ANNA@X.TEST" | lower"#, r#""anna@x.test""#),
    info("map", "{\"from\": to, ...}", "Another value for each listed one; \"*\" stands for all others, which else stay as they are.", r#""wc-done" | map({"wc-done":"completed"})"#, r#""completed""#),
    info("meta", "", "A list of {\"key\", \"value\"} as one object, without keys that begin with an underscore.", r#"[{"key":"po","value":"7"},{"key":"_x","value":"y"}] | meta"#, r#"{"po":"7"}"#),
    info("money", "", "A number with two digits after the point, and more only where they aren't zeros.", r#""239.910000" | money"#, r#""239.91""#),
    info("multiply", "factor", "Times a number.", r#""1.5" | multiply(100)"#, r#""150.0""#),
    info("negate", "", "The number with the other sign.", r#""-49.14" | negate"#, r#""49.14""#),
    info("null_if", "text, ...", "Null where the value is one of the arguments.", r#""parent" | null_if(parent)"#, "null"),
    info("pick", "[new=]name[:text|:money], ...", "Some members of an object, or of each object of a list; :text and :money write numbers as strings; names in parentheses after a name pick inside it.", r#"[{"id":7,"total":"1.500000","x":1}] | pick(rate=id:text,total:money)"#, r#"[{"rate":"7","total":"1.50"}]"#),
    info("prefix", "text", "Text put before.", r#""7" | prefix("no. ")"#, r#""no. 7""#),
    info("replace", "from, to", "Every occurrence of a text replaced.", r#""a-b-c" | replace("-", "")"#, r#""abc""#),
    info("round", "digits", "Rounded half away from zero.", r#""2.345" | round(2)"#, r#""2.35""#),
    info("substring", "start [, length]", "A part of the text, in characters, counted from 0.", r#""abcdef" | substring(1,3)"#, r#""bcd""#),
    info("suffix", "text", "Text put behind.", r#""7" | suffix(" kg")"#, r#""7 kg""#),
    info("sum", "", "The sum of a list of numbers; 0 for an empty or absent one.", r#"["1.10","2.20"] | sum"#, r#""3.30""#),
    info("text", "", "The value as text.", "17 | text", r#""17""#),
    info("trim", "", "Without blanks at both ends.", r#""  a b " | trim"#, r#""a b""#),
    info("unix_time", "", "Seconds since 1970 as a time.", r#""1795163515" | unix_time"#, r#""2026-11-20T08:31:55Z""#),
    info("upper", "", "Upper case.", r#""usd" | upper"#, r#""USD""#),
    info("utc", "", "A time; without an offset it is UTC, as WooCommerce's *_gmt fields are.", r#""2026-11-20T08:16:33" | utc"#, r#""2026-11-20T08:16:33Z""#),
    info("zero_to_null", "", "Null for 0, as in ids that mean \"none\".", "0 | zero_to_null", "null"),
];
