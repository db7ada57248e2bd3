//! Why there is no new certificate, in a sentence with the cure.

use std::time::Duration;

use instant_acme::{Error, Problem};

use super::settings::ChallengeKind;
use crate::http_client::CallFailed;
use crate::random::NoRandomness;
use crate::session::RecordError;

/// An order has failed. What the authority says of it is shown as it is, without control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderFailed {
    /// The authority cannot be reached.
    #[error(
        "the directory cannot be reached: {what} (open the way out to it, or correct tls.acme.directory or tls.acme.ca)"
    )]
    Unreachable {
        /// What the client says.
        what: String,
    },
    /// It has a bad day.
    #[error("the authority has a fault of its own: {what} (nothing to do: it is tried again)")]
    Server {
        /// What it says.
        what: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// We, or others for the same domain, have asked too often.
    #[error("the authority's limits are reached: {what} (wait; try changes at its staging directory)")]
    RateLimited {
        /// What it says.
        what: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It did not find our answer to its challenge.
    #[error("the challenge {} failed: {what} ({})", kind.name(), cure(*kind))]
    Challenge {
        /// Which way was tried.
        kind: ChallengeKind,
        /// What it found instead.
        what: String,
    },
    /// It does not offer any of the configured ways.
    #[error(
        "the authority offers none of tls.acme.challenges for this host (add another one, or list certificate files)"
    )]
    NoChallenge,
    /// It wants its terms agreed to, again.
    #[error("the authority wants its terms agreed to: {0} (read them where it says)")]
    Terms(String),
    /// It wants to know us by other means, or does not.
    #[error("the authority wants another external account: {0} (set tls.acme.eab as it says in your account there)")]
    ExternalAccount(String),
    /// It does not take the mail address.
    #[error("the authority does not take the contact: {0} (correct tls.acme.contact)")]
    Contact(String),
    /// It does not know the account any more. A new one is made.
    #[error("the authority does not know our account any more: {0} (nothing to do: another one is made)")]
    Account(String),
    /// It issues nothing for this host.
    #[error("the authority issues nothing for this host: {0} (look at its CAA records, or list certificate files)")]
    Host(String),
    /// It does not have the profile.
    #[error("the authority does not have the profile: {0} (correct tls.acme.profile)")]
    Profile(String),
    /// It refuses for another reason.
    #[error("the authority refuses: {0} (its documentation tells what that means)")]
    Refused(String),
    /// It took too long.
    #[error("the authority did not finish in time (nothing to do: it is tried again)")]
    Slow,
    /// It gave something else than was ordered, or not ACME at all.
    #[error("the authority's answer cannot be used: {0} (is tls.acme.directory the address of an ACME directory?)")]
    Unusable(String),
    /// The session store, or the system's randomness, did not do its part.
    #[error("what was ordered cannot be kept: {0} (see the session store)")]
    Store(String),
    /// Another gateway orders now.
    #[error("another gateway has taken over the order (nothing to do)")]
    LeaseLost,
}

impl OrderFailed {
    /// All labels, for the documents.
    pub const LABELS: [&str; 16] = [
        "acme_unreachable",
        "acme_server_fault",
        "acme_rate_limited",
        "acme_challenge_failed",
        "acme_no_challenge",
        "acme_terms",
        "acme_external_account",
        "acme_contact",
        "acme_account",
        "acme_host_refused",
        "acme_profile",
        "acme_refused",
        "acme_slow",
        "acme_unusable",
        "acme_not_kept",
        "acme_lease_lost",
    ];

    /// The metric label: one of a closed set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "acme_unreachable",
            Self::Server { .. } => "acme_server_fault",
            Self::RateLimited { .. } => "acme_rate_limited",
            Self::Challenge { .. } => "acme_challenge_failed",
            Self::NoChallenge => "acme_no_challenge",
            Self::Terms(_) => "acme_terms",
            Self::ExternalAccount(_) => "acme_external_account",
            Self::Contact(_) => "acme_contact",
            Self::Account(_) => "acme_account",
            Self::Host(_) => "acme_host_refused",
            Self::Profile(_) => "acme_profile",
            Self::Refused(_) => "acme_refused",
            Self::Slow => "acme_slow",
            Self::Unusable(_) => "acme_unusable",
            Self::Store(_) => "acme_not_kept",
            Self::LeaseLost => "acme_lease_lost",
        }
    }

    /// Whether trying again helps nothing before somebody has changed something.
    pub const fn needs_the_operator(&self) -> bool {
        matches!(
            self,
            Self::NoChallenge
                | Self::Terms(_)
                | Self::ExternalAccount(_)
                | Self::Contact(_)
                | Self::Host(_)
                | Self::Profile(_)
                | Self::Refused(_)
        )
    }

    /// When the authority wants to be asked again, if it says so.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What the library, or the authority through it, says. `retry_after` came along with that answer.
    pub(super) fn of(error: Error, retry_after: Option<Duration>) -> Self {
        match error {
            Error::Api(problem) => Self::of_problem(&problem, retry_after),
            Error::Timeout(_) => Self::Slow,
            Error::Json(_) => Self::Unusable("it is not the JSON that was expected".to_owned()),
            Error::Other(other) => match other.downcast_ref::<CallFailed>() {
                Some(CallFailed::NotAllowed) => Self::Unusable("it names an address that is not https".to_owned()),
                Some(failed) => Self::Unreachable { what: plain(&failed.to_string()) },
                None => Self::Unusable(plain(&other.to_string())),
            },
            other => Self::Unusable(plain(&other.to_string())),
        }
    }

    fn of_problem(problem: &Problem, retry_after: Option<Duration>) -> Self {
        let what = told(problem);
        let kind = problem.r#type.as_deref().unwrap_or_default();
        match kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind) {
            "rateLimited" => Self::RateLimited { what, retry_after },
            "serverInternal" => Self::Server { what, retry_after },
            // "agreementRequired" is what pebble says.
            "userActionRequired" | "agreementRequired" => Self::Terms(what),
            "externalAccountRequired" => Self::ExternalAccount(what),
            "invalidContact" | "unsupportedContact" => Self::Contact(what),
            "accountDoesNotExist" => Self::Account(what),
            "rejectedIdentifier" | "unsupportedIdentifier" | "caa" => Self::Host(what),
            "invalidProfile" => Self::Profile(what),
            _ if problem.status.is_some_and(|status| status >= 500) => Self::Server { what, retry_after },
            _ => Self::Refused(what),
        }
    }
}

impl From<RecordError> for OrderFailed {
    fn from(error: RecordError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<NoRandomness> for OrderFailed {
    fn from(error: NoRandomness) -> Self {
        Self::Store(error.to_string())
    }
}

/// What has to be so that a challenge is met.
const fn cure(kind: ChallengeKind) -> &'static str {
    match kind {
        ChallengeKind::TlsAlpn01 => {
            "the host's address records have to lead here, and port 443 to listen.https with nothing between that ends TLS"
        }
        ChallengeKind::Http01 => "the host's address records have to lead here, and port 80 to listen.http",
    }
}

/// A problem document in one line.
pub(super) fn told(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("no type");
    let detail = problem.detail.as_deref().unwrap_or("no detail");
    let mut line = format!("{detail} ({kind})");
    for sub in &problem.subproblems {
        line.push_str(&format!("; {sub}"));
    }
    plain(&line)
}

/// One line of bounded length, without anything that a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, status: u16) -> OrderFailed {
        let text = format!(
            r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"be\u001bcause","status":{status},"subproblems":[]}}"#
        );
        OrderFailed::of(Error::Api(serde_json::from_str(&text).unwrap()), Some(Duration::from_secs(60)))
    }

    #[test]
    fn every_problem_has_its_label_and_a_cure() {
        for (kind, label) in [
            ("rateLimited", "acme_rate_limited"),
            ("serverInternal", "acme_server_fault"),
            ("userActionRequired", "acme_terms"),
            ("agreementRequired", "acme_terms"),
            ("externalAccountRequired", "acme_external_account"),
            ("invalidContact", "acme_contact"),
            ("unsupportedContact", "acme_contact"),
            ("accountDoesNotExist", "acme_account"),
            ("rejectedIdentifier", "acme_host_refused"),
            ("caa", "acme_host_refused"),
            ("invalidProfile", "acme_profile"),
            ("badCSR", "acme_refused"),
        ] {
            let failed = problem(kind, 400);
            assert_eq!(failed.label(), label);
            let sentence = failed.to_string();
            assert!(sentence.contains("be cause") && sentence.ends_with(')'), "{sentence}");
        }
        assert_eq!(problem("somethingNew", 503).label(), "acme_server_fault");
        assert_eq!(problem("rateLimited", 429).retry_after(), Some(Duration::from_secs(60)));
        let call = Error::Other(Box::new(CallFailed::Unreachable("refused".into())));
        assert_eq!(OrderFailed::of(call, None).label(), "acme_unreachable");
    }

    #[test]
    fn every_label_is_documented_and_the_other_way_round() {
        let document = include_str!("../../docs/errors.md");
        let documented: Vec<&str> = document
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(label, _)| label)
            .filter(|label| label.starts_with("acme_"))
            .collect();
        assert_eq!(documented, OrderFailed::LABELS);
    }
}
