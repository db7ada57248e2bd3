//! The way back from the provider: the query of the redirect URI (OpenID Connect Core 3.1.2.5, RFC 6749 section 4.1.2).

use std::collections::HashSet;
use std::fmt;

use url::form_urlencoded;

use super::rejected::{ErrorCode, OidcRejected};
use crate::secret::Secret;

/// The longest query that is read: codes and states are short, but some providers put a whole JWT into the code.
const LONGEST: usize = 16 * 1024;

/// What the provider said.
pub(in crate::sign_in) struct CallbackQuery {
    /// `state`, unless there is none.
    pub(in crate::sign_in) state: Option<String>,
    /// `iss` (RFC 9207).
    pub(in crate::sign_in) issuer: Option<String>,
    /// `code`, or why there is none.
    pub(in crate::sign_in) outcome: Result<Secret, OidcRejected>,
}

impl CallbackQuery {
    /// Reads a raw query. What it says is judged only after its `state` is known to be ours.
    ///
    /// # Errors
    /// When it is too long, or a parameter stands twice (RFC 6749 section 3.1).
    pub(in crate::sign_in) fn parse(query: &str) -> Result<Self, OidcRejected> {
        if query.len() > LONGEST {
            return Err(OidcRejected::CallbackMalformed("longer than 16 KiB"));
        }
        let (mut state, mut issuer, mut code, mut error) = (None, None, None, None);
        let mut seen = HashSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !seen.insert(name.clone()) {
                return Err(OidcRejected::CallbackMalformed("a parameter stands twice"));
            }
            match name.as_ref() {
                "state" => state = Some(value.into_owned()),
                "iss" => issuer = Some(value.into_owned()),
                "code" => code = Some(Secret::generated(value)),
                "error" => error = Some(value.into_owned()),
                _ => {}
            }
        }
        let outcome = match (code, error) {
            (Some(_), Some(_)) => Err(OidcRejected::CallbackMalformed("both a code and an error")),
            (None, None) => Err(OidcRejected::CallbackMalformed("neither a code nor an error")),
            (Some(code), None) if code.reveal().is_empty() => Err(OidcRejected::CallbackMalformed("an empty code")),
            (Some(code), None) => Ok(code),
            (None, Some(error)) if error == "access_denied" => Err(OidcRejected::VisitorCancelled),
            (None, Some(error)) => Err(OidcRejected::ProviderError(ErrorCode::new(&error))),
        };
        Ok(Self { state: state.filter(|state| !state.is_empty()), issuer, outcome })
    }
}

impl fmt::Debug for CallbackQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackQuery({})", if self.outcome.is_ok() { "code" } else { "error" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(query: &str) -> &'static str {
        match CallbackQuery::parse(query).and_then(|callback| callback.outcome) {
            Ok(_) => "code",
            Err(rejected) => rejected.reason(),
        }
    }

    #[test]
    fn b17_b18_what_a_provider_may_send() {
        let huge = format!("code={}&state=s", "a".repeat(100 * 1024));
        for (query, expected) in [
            ("code=c&state=s", "code"),
            ("code=c&state=s&iss=https%3A%2F%2Fidp.example&session_state=x&scope=openid+email", "code"),
            ("error=access_denied&state=s&error_description=%3Cscript%3E", "visitor_cancelled"),
            ("error=%3Cscript%3E&state=s", "provider_error"),
            ("error=login_required&state=s", "provider_error"),
            ("error=access_denied&code=c&state=s", "callback_malformed"),
            ("code=a&code=b&state=s", "callback_malformed"),
            ("code=a&state=s&%73tate=t", "callback_malformed"),
            ("code=a&state=s&iss=x&iss=x", "callback_malformed"),
            ("code=a&state=s&other=1&other=2", "callback_malformed"),
            ("code=&state=s", "callback_malformed"),
            ("state=s", "callback_malformed"),
            ("", "callback_malformed"),
            (huge.as_str(), "callback_malformed"),
        ] {
            assert_eq!(outcome(query), expected, "{}", query.get(..60).unwrap_or(query));
        }
        assert_eq!(
            CallbackQuery::parse("error=%3Cscript%3E").unwrap().outcome.unwrap_err().to_string().find('<'),
            None
        );
    }

    #[test]
    fn the_code_is_not_shown() {
        assert_eq!(format!("{:?}", CallbackQuery::parse("code=s3cret&state=s3cret").unwrap()), "CallbackQuery(code)");
    }
}
