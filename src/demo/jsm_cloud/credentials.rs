//! API tokens: classic ones for the site's own URL, scoped ones for the other host alone (CLOUD-12617).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use subtle::ConstantTimeEq as _;

use super::JsmCloud;
use super::problem::Problem;
use crate::random::NoRandomness;
use crate::secret::Secret;

/// Manages customers and organizations.
pub const MANAGE_CUSTOMERS: &str = "manage:servicedesk-customer";
/// Reads desks and requests.
pub const READ_REQUESTS: &str = "read:servicedesk-request";
/// Raises and changes requests.
pub const WRITE_REQUESTS: &str = "write:servicedesk-request";
/// Finds people.
pub const READ_USERS: &str = "read:jira-user";

/// Which host a call came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Through {
    /// The site's own.
    #[default]
    Site,
    /// The one that is like `api.atlassian.com`, below `/ex/jira/{cloudId}`.
    ApiHost,
}

/// An API token.
pub(super) struct ApiToken {
    value: Secret,
    account_id: String,
    /// What it may do; none is a classic token, which may do what its owner may.
    scopes: Option<BTreeSet<String>>,
}

/// Who calls by a token, and what the token is good for.
#[derive(Clone, Debug)]
pub(super) struct Bearer {
    pub(super) account_id: String,
    scopes: Option<BTreeSet<String>>,
}

impl Bearer {
    pub(super) fn may(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(scope))
    }
}

pub(super) fn unauthorized() -> Problem {
    let reason = ("x-seraph-loginreason", "AUTHENTICATED_FAILED".to_owned());
    Problem::Plain(StatusCode::UNAUTHORIZED, "Client must be authenticated to access this resource.", Some(reason))
}

impl JsmCloud {
    /// Makes a classic token for that account.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn make_classic_token(&self, account_id: &str) -> Result<Secret, NoRandomness> {
        self.make_token(account_id, None)
    }

    /// Makes a token with these scopes for that account.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn make_scoped_token(&self, account_id: &str, scopes: &[&str]) -> Result<Secret, NoRandomness> {
        self.make_token(account_id, Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()))
    }

    fn make_token(&self, account_id: &str, scopes: Option<BTreeSet<String>>) -> Result<Secret, NoRandomness> {
        let value = Secret::generated(format!("ATATT{}", self.random().token()?));
        let token = ApiToken { value: value.clone(), account_id: account_id.to_owned(), scopes };
        self.state().api_tokens.push(token);
        Ok(value)
    }

    /// Makes that token worthless; whether it was one.
    pub fn revoke_token(&self, value: &Secret) -> bool {
        let mut state = self.state();
        let before = state.api_tokens.len();
        state.api_tokens.retain(|token| token.value.reveal() != value.reveal());
        state.api_tokens.len() < before
    }

    /// Who an `Authorization` header speaks for.
    pub(super) fn authorize(&self, authorization: &str, through: Through) -> Result<Bearer, Problem> {
        let (scheme, credentials) = authorization.split_once(' ').ok_or_else(unauthorized)?;
        let basic = match scheme.to_ascii_lowercase().as_str() {
            "basic" => true,
            "bearer" if through == Through::ApiHost => false,
            "bearer" => {
                // The site's own URL takes no API token this way; what it looks for here belongs to apps.
                let sentence = "{\"error\": \"Failed to parse Connect Session Auth Token\"}";
                return Err(Problem::Plain(StatusCode::FORBIDDEN, sentence, None));
            }
            _ => return Err(unauthorized()),
        };
        let decoded = match basic {
            true => STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
            false => Some(format!(":{}", credentials.trim())),
        };
        let (email, secret) = decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(unauthorized)?;
        let state = self.state();
        let is = |token: &&ApiToken| token.value.reveal().as_bytes().ct_eq(secret.as_bytes()).into();
        let Some(token) = state.api_tokens.iter().find(is) else {
            let password = state.customer(email).is_some_and(|account| account.has_password(secret));
            return Err(match password {
                true => {
                    let sentence = "Basic authentication with passwords is deprecated.";
                    Problem::Plain(StatusCode::UNAUTHORIZED, sentence, None)
                }
                false => unauthorized(),
            });
        };
        let theirs = state.account(&token.account_id).filter(|account| account.active);
        let theirs = theirs.filter(|account| !basic || account.email.eq_ignore_ascii_case(email));
        // A scoped token is unknown to the site's own URL, and a classic one to the other host.
        let here = token.scopes.is_some() == (through == Through::ApiHost);
        theirs.filter(|_| here).ok_or_else(unauthorized)?;
        Ok(Bearer { account_id: token.account_id.clone(), scopes: token.scopes.clone() })
    }
}
