//! A plugin that believes signed tokens, as the one for Cloudflare Access does: keys by their `kid`, audience and issuer
//! exact, and the account by its e-mail address. It opens a session of Jira's for whom the token names.

use http::HeaderMap;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;

use super::JsmDataCenter;
use super::problem::Problem;
use super::sessions::cookies;

/// Where it looks for a token.
const HEADER: &str = "cf-access-jwt-assertion";
/// And where when there is none.
const COOKIE: &str = "CF_Authorization";

/// Whose tokens are believed.
#[derive(Clone, Debug)]
pub(super) struct Believed {
    issuer: String,
    audience: String,
    keys: JwkSet,
}

#[derive(Deserialize)]
struct Claims {
    email: String,
}

impl JsmDataCenter {
    /// Installs the plugin; `keys` is what the issuer publishes.
    ///
    /// # Errors
    /// When that is no JWK set.
    pub fn believe_tokens(&self, issuer: &str, audience: &str, keys: &str) -> Result<(), serde_json::Error> {
        let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
        self.state().believed = Some(Believed { issuer, audience, keys: serde_json::from_str(keys)? });
        Ok(())
    }

    /// Takes the plugin away: tokens mean nothing.
    pub fn ignore_tokens(&self) {
        self.state().believed = None;
    }

    /// Whom the token names; `None` without the plugin or without a token.
    pub(super) fn told_by_token(&self, headers: &HeaderMap) -> Result<Option<String>, Problem> {
        let Some(believed) = self.state().believed.clone() else { return Ok(None) };
        let header = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let Some(token) = header.or_else(|| cookies(headers, COOKIE).next()) else { return Ok(None) };
        let email = believed.email_in(token).ok_or_else(super::guard::unauthorized)?;
        let state = self.state();
        let user = state.users.values().find(|user| user.active && user.email.eq_ignore_ascii_case(&email));
        user.map(|user| Some(user.username.clone())).ok_or_else(super::guard::unauthorized)
    }
}

impl Believed {
    fn email_in(&self, token: &str) -> Option<String> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let key = DecodingKey::from_jwk(self.keys.find(&header.kid?)?).ok()?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        Some(jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims.email)
    }
}
