//! Fields by which a request signs in to Jira itself, past the gateway and as anybody.
//!
//! The login filter of Jira (Seraph) reads a name and a password from the query or from a form at any address, not at its login page alone. By
//! them a stranger could guess passwords and have accounts locked, and a customer's session become somebody else's. None of JSM's pages for
//! customers has such fields: the one who signs in there is the gateway.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode;

use crate::portal::media_type;

const FIELDS: [&[u8]; 2] = [b"os_username", b"os_password"];

/// What the log says of such a request.
pub const DETAIL: &str = "it would sign in to JSM past the gateway";

/// The longest spelling of a name that is looked at, in octets: each octet escaped, in a charset that takes four for each.
const LONGEST: usize = 256;

/// Whether a request signs in by its query, or may: by a form or a query in a charset that is not known to be like ASCII. (Jira reads the query in
/// the charset of the body.)
pub fn may_be_in(query: Option<&str>, headers: &HeaderMap) -> bool {
    let query = query.filter(|query| !query.is_empty());
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let odd = types.any(|value| match value.to_str() {
        Ok(content_type) => {
            (query.is_some() || is_form(content_type))
                && !charsets(content_type).iter().all(|charset| is_like_ascii(charset))
        }
        Err(_) => true,
    });
    odd || query.is_some_and(|query| FormWatch::default().sees(query.as_bytes()))
}

/// What looks at the body of a request that may be a form.
pub fn watch(headers: &HeaderMap) -> Option<FormWatch> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    types.any(|value| value.to_str().is_ok_and(is_form)).then(FormWatch::default)
}

fn is_form(content_type: &str) -> bool {
    media_type::essence(content_type).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// What stands after each `charset=`, in lower case: Tomcat takes the first, whatever parameter it stands in.
fn charsets(content_type: &str) -> Vec<String> {
    let lower = content_type.to_ascii_lowercase();
    let values = lower.split("charset").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('='));
    let values = values.map(|value| value.split(';').next().unwrap_or_default());
    values.map(|value| value.trim().trim_matches(['"', '\'']).to_owned()).collect()
}

/// Whether the letters of ASCII are one octet each in that charset, the same as there. Of all that Java knows it is not known of which.
fn is_like_ascii(charset: &str) -> bool {
    matches!(charset, "utf-8" | "utf8" | "us-ascii" | "ascii" | "latin1")
        || ["iso-8859-", "windows-125"].iter().any(|family| charset.starts_with(family))
}

/// Reads the names of a form's fields as it passes.
#[derive(Debug, Default)]
pub struct FormWatch {
    name: Vec<u8>,
    /// Whether the name at hand is over: what comes is its value.
    in_value: bool,
}

impl FormWatch {
    /// Whether a field that signs in has been met, now or before the end of `part`.
    pub fn sees(&mut self, part: &[u8]) -> bool {
        for octet in part {
            match octet {
                b'&' | b';' => {
                    self.in_value = false;
                    self.name.clear();
                }
                _ if self.in_value => {}
                b'=' if signs_in(&self.name) => return true,
                b'=' => self.in_value = true,
                _ if self.name.len() <= LONGEST => self.name.push(*octet),
                _ => {}
            }
        }
        false
    }
}

/// Whether that is the name of such a field, in whatever spelling. Octets of nothing are those of wider charsets.
fn signs_in(name: &[u8]) -> bool {
    let plain: Vec<u8> = percent_decode(name).filter(|octet| *octet != 0).collect();
    let plain = plain.trim_ascii();
    FIELDS.iter().any(|field| plain.eq_ignore_ascii_case(field))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn query(query: &str) -> bool {
        may_be_in(Some(query), &HeaderMap::new())
    }

    fn typed(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    #[test]
    fn c28_names_are_found_in_every_spelling() {
        for given in [
            "os_username=a&os_password=b",
            "a=b&os_password=",
            "a=b;os_username=c",
            "OS_Username=a",
            "%6fs%5Fusername=a",
            "os%5fpass%77ord=x",
            "%00o%00s%00_%00u%00s%00e%00r%00n%00a%00m%00e=x",
            "+os_username=x",
            "&&os_username=x",
        ] {
            let given = given.replace('+', "%20");
            assert!(query(&given), "{given}");
        }
        for given in
            ["", "os_destination=x", "q=os_username=x", "q=os_username%3Dx", "os_username", "my_os_username=x", "a=b"]
        {
            assert!(!query(given), "{given}");
        }
        assert!(!may_be_in(None, &HeaderMap::new()));
    }

    #[test]
    fn c28_forms_are_read_across_parts_and_in_charsets_that_can_be_read() {
        let form = b"summary=os_username%3D1&os_user%6eame=agent&os_password=x";
        for cut in 0..form.len() {
            let mut watch = watch(&typed("application/x-www-form-urlencoded; charset=UTF-8")).unwrap();
            let (one, other) = form.split_at(cut);
            assert!(watch.sees(one) || watch.sees(other), "{cut}");
        }
        let mut long = watch(&typed("Application/X-WWW-Form-URLEncoded")).unwrap();
        assert!(!long.sees(&[b'a'; 10_000]) && !long.sees(b"os_username=1&b=2"));
        for odd in [
            "; charset=Cp037",
            ";charset=utf-8; Charset=\"UTF-16LE\"",
            "; charset=",
            "; xcharset=Cp037",
            "; a=charset =Cp037; charset=utf-8",
        ] {
            let mut headers = typed("application/json");
            let odd = format!("application/x-www-form-urlencoded{odd}");
            headers.append(CONTENT_TYPE, HeaderValue::from_str(&odd).unwrap());
            assert!(may_be_in(None, &headers), "{odd}");
        }
        let by_body = typed("text/plain; charset=Cp037");
        assert!(may_be_in(Some("a=b"), &by_body) && !may_be_in(Some(""), &by_body) && !may_be_in(None, &by_body));
        let mut no_text = HeaderMap::new();
        no_text.insert(CONTENT_TYPE, HeaderValue::from_bytes(b"text/plain; x=\xe9").unwrap());
        assert!(may_be_in(None, &no_text));
        for fine in ["application/x-www-form-urlencoded", "application/json; charset=utf-16", "multipart/form-data"] {
            assert!(!may_be_in(None, &typed(fine)), "{fine}");
        }
        assert!(watch(&typed("application/json")).is_none() && watch(&HeaderMap::new()).is_none());
    }
}
