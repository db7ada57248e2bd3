//! Sessions and the cookies that carry them.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, header};

use super::JsmDataCenter;
use super::state::State;
use crate::clock::Timestamp;
use crate::random::{NoRandomness, Random};

/// Tomcat's session.
pub(super) const SESSION: &str = "JSESSIONID";
/// Survives the session.
pub(super) const REMEMBER: &str = "seraph.rememberme.cookie";
/// Page scripts read it, and forms send it as `atl_token`.
pub(super) const XSRF: &str = "atlassian.xsrf.token";

/// The cookies by which this site knows a person.
pub const COOKIES_OF_A_SESSION: [&str; 3] = [SESSION, REMEMBER, XSRF];

/// A session; without a person before the login.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) username: Option<String>,
    pub(super) xsrf: String,
    pub(super) used: Timestamp,
    pub(super) node: Option<(String, String)>,
    /// The node that has it in its memory.
    pub(super) held_at: u32,
}

/// Whether the token is a visitor's or a person's.
#[derive(Clone, Copy)]
enum Token {
    LoggedOut,
    LoggedIn,
}

/// Upper-case hexadecimal digits of `N` random bytes.
fn hex<const N: usize>(random: &Random) -> Result<String, NoRandomness> {
    let bytes = random.bytes::<N>()?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    }))
}

fn xsrf_token(random: &Random, token: Token) -> Result<String, NoRandomness> {
    let server: String = hex::<8>(random)?;
    let groups: Vec<&str> =
        [0, 4, 8, 12].iter().filter_map(|at: &usize| server.get(*at..at.saturating_add(4))).collect();
    let suffix = match token {
        Token::LoggedOut => "lout",
        Token::LoggedIn => "lin",
    };
    Ok(format!("{}_{}_{suffix}", groups.join("-"), hex::<20>(random)?.to_lowercase()))
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
    pub(super) fn set(&mut self, secure: bool, name: &str, value: &str, rest: &str) {
        let secure = if secure { "; Secure" } else { "" };
        self.0.push(format!("{name}={value}; Path=/{rest}{secure}"));
    }

    pub(super) fn expire(&mut self, secure: bool, name: &str) {
        self.set(secure, name, "", "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:10 GMT");
    }

    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for line in &self.0 {
            if let Ok(value) = HeaderValue::from_str(line) {
                headers.append(header::SET_COOKIE, value);
            }
        }
    }
}

impl State {
    pub(super) fn is_secure(&self) -> bool {
        self.base_url.starts_with("https:")
    }

    /// The live session of that id, as the node `at` knows it, and marks it used.
    pub(super) fn use_session(&mut self, id: &str, headers: &HeaderMap, at: u32, now: Timestamp) -> Option<Session> {
        let idle = self.switches.idle_limit;
        if self.sessions.get(id)?.used.after(idle) <= now {
            self.sessions.remove(id);
            return None;
        }
        let session = self.sessions.get_mut(id).filter(|session| session.held_at == at)?;
        if let Some((name, value)) = &session.node
            && cookies(headers, name).next() != Some(value)
        {
            return None; // another node, which knows nothing of this session
        }
        let who = session.username.clone();
        session.used = now;
        let found = session.clone();
        if let Some(who) = who
            && !self.user(&who).is_some_and(|user| user.active)
        {
            self.sessions.remove(id);
            return None;
        }
        Some(found)
    }

    /// Opens a session, for a person or for a visitor, and says by which cookies.
    pub(super) fn open_session(
        &mut self,
        username: Option<&str>,
        random: &Random,
        (held_at, now): (u32, Timestamp),
    ) -> Result<(String, Session, CookieJar), NoRandomness> {
        let id = hex::<16>(random)?;
        let token = if username.is_some() { Token::LoggedIn } else { Token::LoggedOut };
        let node = self.switches.node_affinity.clone();
        let xsrf = xsrf_token(random, token)?;
        let session = Session { username: username.map(str::to_owned), xsrf, used: now, node, held_at };
        let mut jar = CookieJar::default();
        let secure = self.is_secure();
        jar.set(secure, SESSION, &id, "; HttpOnly");
        jar.set(secure, XSRF, &session.xsrf, "");
        if let Some((name, value)) = &session.node {
            jar.set(secure, name, value, "; HttpOnly");
        }
        self.sessions.insert(id.clone(), session.clone());
        Ok((id, session, jar))
    }

    /// Makes the browser remember the person beyond the session.
    pub(super) fn remember(
        &mut self,
        username: &str,
        random: &Random,
        jar: &mut CookieJar,
    ) -> Result<(), NoRandomness> {
        let id = format!("{}%3A{}", self.fresh_id(), hex::<20>(random)?.to_lowercase());
        jar.set(self.is_secure(), REMEMBER, &id, "; HttpOnly; Max-Age=1209600");
        self.remembered.insert(id, username.to_owned());
        Ok(())
    }

    /// Ends the session of these cookies, and tells the browser to forget it.
    pub(super) fn end_session(&mut self, id: Option<&str>, headers: &HeaderMap) -> CookieJar {
        if let Some(id) = id {
            self.sessions.remove(id);
        }
        for remembered in cookies(headers, REMEMBER) {
            self.remembered.remove(remembered);
        }
        let mut jar = CookieJar::default();
        for name in [SESSION, REMEMBER] {
            jar.expire(self.is_secure(), name);
        }
        jar
    }

    /// Ends every session of that person; how many.
    pub(super) fn end_all_sessions(&mut self, username: &str) -> usize {
        let before = self.sessions.len();
        let is = |who: &str| who.eq_ignore_ascii_case(username);
        self.sessions.retain(|_, session| !session.username.as_deref().is_some_and(is));
        self.remembered.retain(|_, who| !is(who));
        before.saturating_sub(self.sessions.len())
    }
}

impl JsmDataCenter {
    /// The ids (`JSESSIONID`) of that person's sessions.
    pub fn sessions_of(&self, username: &str) -> Vec<String> {
        let state = self.state();
        let theirs = state
            .sessions
            .iter()
            .filter(|(_, session)| session.username.as_deref().is_some_and(|who| who.eq_ignore_ascii_case(username)));
        theirs.map(|(id, _)| id.clone()).collect()
    }

    /// The node loses what it has in its memory, as a restart does; how many sessions.
    pub fn forget_sessions(&self) -> usize {
        let mut state = self.state();
        let before = state.sessions.len();
        state.sessions.retain(|_, session| session.held_at != self.node);
        before.saturating_sub(state.sessions.len())
    }

    /// The nodes that hold sessions of that person, one number for each session.
    pub fn nodes_of(&self, username: &str) -> Vec<u32> {
        let state = self.state();
        let is = |session: &&Session| session.username.as_deref().is_some_and(|who| who.eq_ignore_ascii_case(username));
        state.sessions.values().filter(is).map(|session| session.held_at).collect()
    }

    /// Whether `/status` tells that the node is not ready.
    pub fn set_starting(&self, starting: bool) {
        let mut state = self.state();
        match starting {
            true => drop(state.starting.insert(self.node)),
            false => drop(state.starting.remove(&self.node)),
        }
    }

    pub(super) fn is_starting(&self) -> bool {
        self.state().starting.contains(&self.node)
    }

    /// Ends one session by its id, as a restart of a node does; whether there was one. A remember-me cookie survives.
    pub fn kill_session(&self, id: &str) -> bool {
        self.state().sessions.remove(id).is_some()
    }

    /// Ends every session of that person, and their remember-me cookies; how many sessions.
    pub fn kill_all(&self, username: &str) -> usize {
        self.state().end_all_sessions(username)
    }
}
