//! Customers' sessions: one cookie with a signed token, whose subject is the account (`customer.account.session.token`).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::JsmCloud;
use super::counters::count;
use super::state::State;
use crate::clock::Timestamp;
use crate::random::{NoRandomness, Random};

/// A customer's session.
pub(super) const SESSION: &str = "customer.account.session.token";
/// Page scripts read it; its end tells visitors (`_lout`) from people who are signed in (`_lin`).
pub(super) const XSRF: &str = "atlassian.xsrf.token";

/// The cookies by which this site knows a customer.
pub const COOKIES_OF_A_SESSION: [&str; 2] = [SESSION, XSRF];

/// What the site remembers of a token that it gave away.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) account_id: String,
    pub(super) xsrf: String,
    user_agent: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    jti: String,
    iss: String,
    iat: i64,
    exp: i64,
}

/// Whether the token is a visitor's or a person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    LoggedOut,
    LoggedIn,
}

pub(super) fn xsrf_token(random: &Random, token: Token) -> Result<String, NoRandomness> {
    let hex = random.bytes::<20>()?.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let suffix = match token {
        Token::LoggedOut => "lout",
        Token::LoggedIn => "lin",
    };
    Ok(format!("{}_{hex}_{suffix}", super::accounts::uuid(random)?))
}

/// The values of the cookie of that name, in order, over all `Cookie` headers.
pub(super) fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(move |pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

/// `Set-Cookie` lines that an answer is to carry.
#[derive(Clone, Debug, Default)]
pub(super) struct CookieJar(Vec<String>);

impl CookieJar {
    pub(super) fn set(&mut self, name: &str, value: &str, rest: &str) {
        self.0.push(format!("{name}={value}; Path=/; Secure; SameSite=None{rest}"));
    }

    pub(super) fn expire(&mut self, name: &str, rest: &str) {
        self.set(name, "", &format!("{rest}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
    }

    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for line in &self.0 {
            if let Ok(value) = HeaderValue::from_str(line) {
                headers.append(header::SET_COOKIE, value);
            }
        }
    }
}

fn http_date(at: Timestamp) -> String {
    at.to_chrono().map(|at| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()).unwrap_or_default()
}

impl State {
    fn domain(&self) -> String {
        format!("; Domain={}", self.host())
    }

    /// Tells the browser to forget the session, and gives it a visitor's token.
    pub(super) fn forget(&self, random: &Random) -> Result<CookieJar, NoRandomness> {
        let mut jar = CookieJar::default();
        jar.expire(SESSION, &self.domain());
        jar.set(XSRF, &xsrf_token(random, Token::LoggedOut)?, "");
        Ok(jar)
    }

    /// Ends every session of that account; how many.
    pub(super) fn end_all_sessions(&mut self, account_id: &str) -> usize {
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.account_id != account_id);
        before.saturating_sub(self.sessions.len())
    }
}

impl JsmCloud {
    /// Opens a session for that account, and says by which cookies.
    pub(super) fn open_session(&self, account_id: &str, headers: &HeaderMap) -> Result<CookieJar, NoRandomness> {
        let now = self.now();
        let jti = self.random().token()?;
        let xsrf = xsrf_token(self.random(), Token::LoggedIn)?;
        let mut state = self.state();
        let (lifetime, kept) = (state.switches.token_lifetime, state.switches.cookie_lifetime);
        let claims = Claims {
            sub: account_id.to_owned(),
            jti: jti.clone(),
            iss: state.base_url.clone(),
            iat: now.seconds(),
            exp: now.after(lifetime).seconds(),
        };
        let key = EncodingKey::from_secret(self.shared.session_key.reveal().as_bytes());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|_| NoRandomness)?;
        let mut jar = CookieJar::default();
        let rest =
            format!("; HttpOnly{}; Max-Age={}; Expires={}", state.domain(), kept.as_secs(), http_date(now.after(kept)));
        jar.set(SESSION, &token, &rest);
        jar.set(XSRF, &xsrf, "");
        let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).map(str::to_owned);
        state.sessions.insert(jti, Session { account_id: account_id.to_owned(), xsrf, user_agent });
        if let Some(email) = state.account(account_id).map(|account| account.email.to_lowercase()) {
            count(&mut state.counters.logins, email);
        }
        Ok(jar)
    }

    /// The live session of these cookies, with its id.
    pub(super) fn session_of(&self, headers: &HeaderMap) -> Option<(String, Session)> {
        let token = cookies(headers, SESSION).next()?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false; // by this site's own clock, below
        validation.required_spec_claims.clear();
        let key = DecodingKey::from_secret(self.shared.session_key.reveal().as_bytes());
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims;
        let state = self.state();
        let session = state.sessions.get(&claims.jti).filter(|session| session.account_id == claims.sub)?;
        let good = state.account(&claims.sub).is_some_and(super::Account::may_open_portal);
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let same_agent = !state.switches.bound_to_user_agent || session.user_agent.as_deref() == agent;
        let live = self.now() < Timestamp::from_seconds(claims.exp);
        (good && same_agent && live).then(|| (claims.jti, session.clone()))
    }

    /// How many sessions that customer has.
    pub fn sessions_of(&self, email: &str) -> usize {
        let state = self.state();
        let Some(customer) = state.customer(email) else { return 0 };
        state.sessions.values().filter(|session| session.account_id == customer.account_id).count()
    }

    /// Ends every session of that customer; how many.
    pub fn kill_all(&self, email: &str) -> usize {
        let mut state = self.state();
        let id = state.customer(email).map(|account| account.account_id.clone());
        id.map_or(0, |id| state.end_all_sessions(&id))
    }
}
