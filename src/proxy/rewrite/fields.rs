//! Named fields of requests: in queries, forms and JSON. Only their values are rewritten, so that what people write stays
//! as they wrote it, the portal's address included.
//!
//! Bodies are read as they pass, however long they are; what is kept is the name of the field at hand.

use std::sync::Arc;

use bytes::Bytes;

use super::{BodyRewriter, Rewriter};

/// The longest name that is looked for, in bytes.
pub const LONGEST_NAME: usize = 64;

/// The names of the fields.
#[derive(Clone, Debug)]
pub struct FieldNames(Arc<[String]>);

impl FieldNames {
    /// These names.
    pub fn new(names: &[String]) -> Self {
        Self(names.into())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn hold(&self, name: &[u8]) -> bool {
        self.0.iter().any(|known| known.as_bytes() == name)
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// RFC 8259.
    Json,
    /// `application/x-www-form-urlencoded`, and queries.
    Form,
}

/// A request body on its way.
#[derive(Debug)]
pub struct FieldRewriter {
    names: FieldNames,
    rewriter: Arc<Rewriter>,
    place: Place,
    name: Vec<u8>,
}

/// Where in the body the next octet is.
#[derive(Debug)]
enum Place {
    /// JSON: between texts.
    Between,
    /// JSON: in a text, which may be a name; whether the next octet is escaped.
    Text { escaped: bool },
    /// JSON: behind a name, or behind the colon after it.
    BehindName { colon: bool },
    /// JSON: in the value of a field.
    TextValue { value: BodyRewriter, escaped: bool },
    /// Form: in a name.
    Name,
    /// Form: in a value that is left alone.
    OtherValue,
    /// Form: in the value of a field.
    FormValue(BodyRewriter),
}

/// Rewrites the fields of a query; `None` when nothing changes.
pub fn query(query: &str, names: &FieldNames, rewriter: &Arc<Rewriter>) -> Option<String> {
    let mut fields = FieldRewriter::new(Notation::Form, names.clone(), Arc::clone(rewriter));
    let out = fields.push(Bytes::copy_from_slice(query.as_bytes()), true);
    (out != query.as_bytes()).then(|| String::from_utf8(out.to_vec()).ok()).flatten()
}

impl FieldRewriter {
    /// Starts with a body.
    pub fn new(notation: Notation, names: FieldNames, rewriter: Arc<Rewriter>) -> Self {
        let place = match notation {
            Notation::Json => Place::Between,
            Notation::Form => Place::Name,
        };
        Self { names, rewriter, place, name: Vec::new() }
    }

    /// Takes the next chunk and gives what is decided. At the `end` nothing is held back.
    pub fn push(&mut self, chunk: Bytes, end: bool) -> Bytes {
        let mut out: Option<Vec<u8>> = None;
        let (mut at, mut passed) = (0_usize, 0_usize);
        while at < chunk.len() {
            let rest = chunk.get(at..).unwrap_or_default();
            let step = self.step(rest);
            let next = at.saturating_add(step.length);
            if let Some(value) = step.value {
                // The octets of this step belong to a value: they come out as its rewriter says.
                let out = out.get_or_insert_with(|| Vec::with_capacity(chunk.len()));
                out.extend_from_slice(chunk.get(passed..at).unwrap_or_default());
                out.extend_from_slice(&self.value(chunk.slice(at..next), value));
                passed = next;
            }
            at = next;
        }
        let rest = if end { self.value(Bytes::new(), true) } else { Bytes::new() };
        if out.is_none() && rest.is_empty() {
            return chunk;
        }
        let mut out = out.unwrap_or_default();
        out.extend_from_slice(chunk.get(passed..).unwrap_or_default());
        out.extend_from_slice(&rest);
        out.into()
    }

    /// Gives part of a value to its rewriter; where the value is `over`, nothing of it is held back any more.
    fn value(&mut self, part: Bytes, over: bool) -> Bytes {
        match &mut self.place {
            Place::TextValue { value, .. } | Place::FormValue(value) => {
                let out = value.push(part, over);
                if over {
                    self.place = match self.place {
                        Place::FormValue(_) => Place::OtherValue,
                        _ => Place::Between,
                    };
                }
                out
            }
            _ => part,
        }
    }

    fn rewritten(&self) -> BodyRewriter {
        BodyRewriter::new(Arc::clone(&self.rewriter))
    }

    /// One step through a text that is not empty.
    fn step(&mut self, rest: &[u8]) -> Step {
        let first = rest.first().copied().unwrap_or_default();
        match &mut self.place {
            Place::Between => match memchr::memchr(b'"', rest) {
                Some(quote) => {
                    self.name.clear();
                    self.place = Place::Text { escaped: false };
                    Step::over(quote.saturating_add(1))
                }
                None => Step::over(rest.len()),
            },
            Place::Text { escaped } => {
                if *escaped {
                    *escaped = false;
                    return Step::over(1);
                }
                let length = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                let room = LONGEST_NAME.saturating_add(1).saturating_sub(self.name.len());
                self.name.extend(rest.iter().take(length.min(room)));
                match rest.get(length) {
                    Some(b'"') => self.place = Place::BehindName { colon: false },
                    Some(_) => {
                        *escaped = true;
                        self.name.push(b'\\'); // no name that is looked for is written with escapes
                    }
                    None => return Step::over(length),
                }
                Step::over(length.saturating_add(1))
            }
            Place::BehindName { colon } => match first {
                b' ' | b'\t' | b'\r' | b'\n' => Step::over(1),
                b':' if !*colon && self.names.hold(&self.name) => {
                    *colon = true;
                    Step::over(1)
                }
                b'"' if *colon => {
                    self.place = Place::TextValue { value: self.rewritten(), escaped: false };
                    Step::over(1)
                }
                _ => {
                    self.place = Place::Between;
                    Step::over(0)
                }
            },
            Place::TextValue { escaped, .. } => {
                if *escaped {
                    *escaped = false;
                    return Step::of_value(1);
                }
                match memchr::memchr2(b'"', b'\\', rest) {
                    // The quote that ends it goes with it: it begins no other text.
                    Some(0) if first == b'"' => Step { length: 1, value: Some(true) },
                    Some(0) => {
                        *escaped = true;
                        Step::of_value(1)
                    }
                    Some(length) => Step::of_value(length),
                    None => Step::of_value(rest.len()),
                }
            }
            Place::Name => {
                let length = memchr::memchr2(b'=', b'&', rest).unwrap_or(rest.len());
                let room = LONGEST_NAME.saturating_add(1).saturating_sub(self.name.len());
                self.name.extend(rest.iter().take(length.min(room)));
                match rest.get(length) {
                    Some(b'=') => {
                        let meant = self.names.hold(&self.name);
                        self.place = if meant { Place::FormValue(self.rewritten()) } else { Place::OtherValue };
                    }
                    Some(_) => self.name.clear(),
                    None => return Step::over(length),
                }
                Step::over(length.saturating_add(1))
            }
            Place::OtherValue => match memchr::memchr(b'&', rest) {
                Some(length) => {
                    self.name.clear();
                    self.place = Place::Name;
                    Step::over(length.saturating_add(1))
                }
                None => Step::over(rest.len()),
            },
            Place::FormValue(_) => match memchr::memchr(b'&', rest) {
                Some(length) => Step { length, value: Some(true) },
                None => Step::of_value(rest.len()),
            },
        }
    }
}

/// So many octets on; for those of a value, whether the value is over behind them.
struct Step {
    length: usize,
    value: Option<bool>,
}

impl Step {
    fn over(length: usize) -> Self {
        Self { length, value: None }
    }

    fn of_value(length: usize) -> Self {
        Self { length, value: Some(false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::rewrite::Origin;

    fn push(notation: Notation, text: &str, cuts: &[usize]) -> String {
        let pair = ["https://support.acme.com", "https://jsm.internal:8444"].map(|text| Origin::parse(text).unwrap());
        let rewriter = Arc::new(Rewriter::new(vec![pair.into()], Vec::new()).unwrap());
        let names = FieldNames::new(&["destination".to_owned(), "os_destination".to_owned()]);
        let mut fields = FieldRewriter::new(notation, names, rewriter);
        let (mut out, mut begin) = (Vec::new(), 0);
        for cut in cuts {
            out.extend_from_slice(&fields.push(Bytes::copy_from_slice(&text.as_bytes()[begin..*cut]), false));
            begin = *cut;
        }
        out.extend_from_slice(&fields.push(Bytes::copy_from_slice(&text.as_bytes()[begin..]), true));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_the_fields_are_rewritten_however_the_body_is_cut() {
        let (json, form) = (Notation::Json, Notation::Form);
        for (notation, from, to) in [
            (
                json,
                r#"{"destination":"https://support.acme.com/x"}"#,
                r#"{"destination":"https://jsm.internal:8444/x"}"#,
            ),
            (
                json,
                r#"{"a":{"destination" : "https:\/\/support.acme.com"}}"#,
                r#"{"a":{"destination" : "https:\/\/jsm.internal:8444"}}"#,
            ),
            (
                json,
                r#"[{"destination":"\"https://support.acme.com\""}]"#,
                r#"[{"destination":"\"https://jsm.internal:8444\""}]"#,
            ),
            (
                json,
                r#"{"destination":"/x","b":"https://support.acme.com"}"#,
                r#"{"destination":"/x","b":"https://support.acme.com"}"#,
            ),
            (
                json,
                r#"{"comment":"\"destination\":\"https://support.acme.com\""}"#,
                r#"{"comment":"\"destination\":\"https://support.acme.com\""}"#,
            ),
            (
                json,
                r#"{"comment":"destination","x":"https://support.acme.com"}"#,
                r#"{"comment":"destination","x":"https://support.acme.com"}"#,
            ),
            (json, r#"["destination","https://support.acme.com"]"#, r#"["destination","https://support.acme.com"]"#),
            (
                json,
                r#"{"destination":["https://support.acme.com"]}"#,
                r#"{"destination":["https://support.acme.com"]}"#,
            ),
            (json, r#"{"destination":"https://support.acme.com"#, r#"{"destination":"https://jsm.internal:8444"#),
            (
                json,
                r#"{"destination":"https://support.acme.com.evil.test"}"#,
                r#"{"destination":"https://support.acme.com.evil.test"}"#,
            ),
            (
                form,
                "os_destination=https%3A%2F%2Fsupport.acme.com%2Fx&a=b",
                "os_destination=https%3A%2F%2Fjsm.internal%3A8444%2Fx&a=b",
            ),
            (
                form,
                "a=https://support.acme.com&destination=https://support.acme.com",
                "a=https://support.acme.com&destination=https://jsm.internal:8444",
            ),
            (form, "destination&os_destination=//support.acme.com&", "destination&os_destination=//jsm.internal:8444&"),
            (
                form,
                "description=destination%3Dhttps://support.acme.com",
                "description=destination%3Dhttps://support.acme.com",
            ),
            (form, "xdestination=https://support.acme.com", "xdestination=https://support.acme.com"),
            (
                json,
                r#"{"destination":"https://support.acme.com","os_destination":"https:\/\/support.acme.com","destination":""}"#,
                r#"{"destination":"https://jsm.internal:8444","os_destination":"https:\/\/jsm.internal:8444","destination":""}"#,
            ),
            (form, "", ""),
        ] {
            assert_eq!(push(notation, from, &[]), to);
            for first in 0..=from.len() {
                for second in first..=from.len() {
                    assert_eq!(push(notation, from, &[first, second]), to, "{from} at {first} and {second}");
                }
            }
        }
    }

    #[test]
    fn what_has_no_such_field_is_not_copied() {
        let names = FieldNames::new(&["destination".to_owned()]);
        let rewriter = Arc::new(Rewriter::new(Vec::new(), Vec::new()).unwrap());
        for notation in [Notation::Json, Notation::Form] {
            let mut fields = FieldRewriter::new(notation, names.clone(), Arc::clone(&rewriter));
            let chunk = Bytes::from(format!(r#"{{"comment":"{}"}}"#, "x".repeat(10_000)));
            assert_eq!(fields.push(chunk.clone(), true).as_ptr(), chunk.as_ptr());
        }
    }
}
