//! What the visitor takes: `Accept-Encoding` (RFC 9110, section 12.5.3).

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use super::Coding;

/// The names of all, as [`Accepted::to_upstream`] says them.
const ALL: &str = "gzip, br, zstd, deflate";

/// The codings that a visitor takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// For each of [`Coding::ALL`].
    takes: [bool; Coding::ALL.len()],
}

impl Accepted {
    /// Reads the visitor's fields. Who says nothing gets nothing encoded.
    pub fn read(headers: &HeaderMap) -> Self {
        let (mut named, mut any) = ([None; Coding::ALL.len()], None);
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for entry in values.flat_map(|value| value.split(',')) {
            let (name, parameters) = entry.split_once(';').unwrap_or((entry, ""));
            // The first word about a coding counts.
            let said = match name.trim() {
                "*" => Some(&mut any),
                name => Coding::named(name).and_then(|coding| named.get_mut(coding as usize)),
            };
            if let Some(said @ None) = said {
                *said = Some(!is_refused(parameters));
            }
        }
        let any = any.unwrap_or(false);
        Self { takes: named.map(|taken| taken.unwrap_or(any)) }
    }

    /// Those that are taken.
    pub fn codings(self) -> impl Iterator<Item = Coding> {
        Coding::ALL.into_iter().zip(self.takes).filter_map(|(coding, taken)| taken.then_some(coding))
    }

    /// Whether `coding` is taken.
    pub fn takes(self, coding: Coding) -> bool {
        self.codings().any(|taken| taken == coding)
    }

    /// What to ask the upstream for: nothing that the visitor could not read, because most bodies pass as they are, and
    /// nothing that is not known here.
    pub fn to_upstream(self) -> HeaderValue {
        let none = HeaderValue::from_static("identity");
        if !self.takes.contains(&true) {
            return none;
        }
        if !self.takes.contains(&false) {
            return HeaderValue::from_static(ALL); // as browsers do, by https
        }
        let names: Vec<&str> = self.codings().map(Coding::name).collect();
        HeaderValue::from_str(&names.join(", ")).unwrap_or(none)
    }
}

/// Whether the weight is zero.
fn is_refused(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstream_is_asked_for_what_both_can_read() {
        for (sent, expected) in [
            (&["gzip, deflate, br, zstd"][..], "gzip, br, zstd, deflate"),
            (&["gzip;q=0, br;q=0.5"], "br"),
            (&["gzip", "br"], "gzip, br"),
            (&["x-gzip"], "gzip"),
            (&["*"], "gzip, br, zstd, deflate"),
            (&["*, br;q=0"], "gzip, zstd, deflate"),
            (&["*;q=0, GZIP"], "gzip"),
            (&["compress, sdch"], "identity"),
            (&["identity"], "identity"),
            (&[""], "identity"),
            (&[], "identity"),
        ] {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(Accepted::read(&headers).to_upstream(), expected, "{sent:?}");
        }
    }
}
