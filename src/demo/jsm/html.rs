//! Text made safe for where it goes.

use serde_json::Value;

/// For HTML text and quoted attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// JSON for the inside of a script element, with slashes escaped as JSM does: `https:\/\/`.
pub fn json_in_script(value: &Value) -> String {
    value.to_string().replace('/', "\\/").replace('<', "\\u003c")
}

/// A JavaScript string literal, for the inside of a script element.
pub fn js_string(text: &str) -> String {
    Value::from(text).to_string().replace('<', "\\u003c")
}

/// For one path segment or one query value.
pub fn percent(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// JSON as the inside of a JavaScript string literal in a script element, with slashes as `\u002F`.
pub fn script_state(value: &Value) -> String {
    js_string(&value.to_string()).trim_matches('"').replace('/', "\\u002F")
}
