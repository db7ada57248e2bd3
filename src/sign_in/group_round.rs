//! The round of a sign-in through the home of a group: from one portal to the one where people of the group sign in, and
//! back with a code. What travels names no place but a portal, by its host.

use super::NextUrl;
use super::browser::is_token;
use crate::portal::HostName;

/// Where the home takes people of other portals.
pub const AT_HOME: &str = "/.vestibule/group/sign-in";
/// Where a portal takes them back.
pub const BACK: &str = "/.vestibule/group/callback";

/// A round under way, as the home knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRound {
    /// The portal that it began at.
    pub portal: HostName,
    /// What that portal knows it by.
    pub state: String,
}

impl GroupRound {
    /// Reads the query at the home: each name once, and no other. Also whether the person has to be asked who they are anew.
    pub fn read(query: &str) -> Option<(Self, bool)> {
        let (mut portal, mut state, mut again) = (None, None, false);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "portal" if portal.is_none() => portal = Some(HostName::parse(&value).ok()?),
                "state" if state.is_none() => state = Some(value.into_owned()),
                "again" if !again && value == "1" => again = true,
                _ => return None,
            }
        }
        Some((Self { portal: portal?, state: state.filter(|state| is_token(state))? }, again))
    }

    /// The path and query at the home.
    pub fn target(&self, again: bool) -> String {
        let again = if again { "&again=1" } else { "" };
        format!("{AT_HOME}?portal={}&state={}{again}", self.portal, self.state)
    }

    /// Where the sign-in at the home leads to: once more to the home, with a session then.
    pub fn next(&self) -> NextUrl {
        NextUrl::of_round(&self.target(false))
    }

    /// The round that such a place belongs to.
    pub fn of(next: &NextUrl) -> Option<Self> {
        let query = next.as_str().strip_prefix(AT_HOME)?.strip_prefix('?')?;
        Self::read(query).map(|(round, _)| round)
    }

    /// The path and query to go back to at the portal.
    pub fn back(&self, code: &str) -> String {
        format!("{BACK}?code={code}&state={}", self.state)
    }
}

/// Reads the query of the way back: the code and the state.
pub fn read_back(query: &str) -> Option<(String, String)> {
    let (mut code, mut state) = (None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "code" => &mut code,
            "state" => &mut state,
            _ => return None,
        };
        if place.replace(value.into_owned()).is_some() {
            return None;
        }
    }
    let (code, state) = (code?, state?);
    (is_token(&code) && is_token(&state)).then_some((code, state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_round_has_one_spelling_and_leads_nowhere_else() {
        let token = Random::default().token().unwrap();
        let round = GroupRound { portal: HostName::parse("b.acme.com").unwrap(), state: token.clone() };
        let query = |target: &str| target.split_once('?').unwrap().1.to_owned();
        assert_eq!(GroupRound::read(&query(&round.target(false))), Some((round.clone(), false)));
        assert_eq!(GroupRound::read(&query(&round.target(true))), Some((round.clone(), true)));
        assert_eq!(GroupRound::of(&round.next()), Some(round.clone()));
        assert_eq!(read_back(&query(&round.back(&token))), Some((token.clone(), token.clone())));
        for wrong in [
            String::new(),
            format!("portal=b.acme.com&state={token}&portal=c.acme.com"),
            format!("portal=b.acme.com&state={token}&state={token}"),
            format!("portal=b.acme.com/x&state={token}"),
            format!("portal=https://evil.test&state={token}"),
            format!("portal=b.acme.com@evil.test&state={token}"),
            format!("portal=b.acme.com&state={token}&next=/x"),
            format!("portal=b.acme.com&state={token}&again=yes"),
            "portal=b.acme.com&state=short".to_owned(),
            format!("portal=b.acme.com&state={token}%26code=x"),
        ] {
            assert_eq!(GroupRound::read(&wrong), None, "{wrong}");
        }
        for wrong in
            [format!("code={token}"), format!("code={token}&state={token}&code={token}"), "code=a&state=b".into()]
        {
            assert_eq!(read_back(&wrong), None, "{wrong}");
        }
        assert_eq!(GroupRound::of(&NextUrl::root()), None);
    }
}
