//! JSON as PHP's `json_encode` spells it: `\/`, `\uXXXX` for everything beyond ASCII, no spaces.

use serde_json::Value;

/// Encodes a value the way WordPress sends it.
pub fn encode(value: &Value) -> String {
    let mut out = String::with_capacity(4096);
    write_value(value, &mut out);
    out
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write_value(item, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' | '\u{7f}' => out.push(letter),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_escaped_as_php_does() {
        let value = json!({"a/b": "é😀\u{0}\u{2028}\u{7f}\"\\\n"});
        let expected = "{\"a\\/b\":\"\\u00e9\\ud83d\\ude00\\u0000\\u2028\u{7f}\\\"\\\\\\n\"}";
        assert_eq!(encode(&value), expected);
    }

    #[test]
    fn recorded_bodies_come_out_byte_for_byte() {
        for body in [
            include_str!("../../fixtures/woocommerce/responses/order_60_lines.json"),
            include_str!("../../fixtures/woocommerce/responses/products_page1.json"),
            include_str!("../../fixtures/woocommerce/responses/customers_page1.json"),
            include_str!("../../fixtures/woocommerce/responses/orders_page1_desc.json"),
        ] {
            let value: Value = serde_json::from_str(body).unwrap();
            assert_eq!(encode(&value), body.trim_end());
        }
    }
}
