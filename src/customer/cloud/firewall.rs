//! What the firewall before Atlassian's sites answers in their place. It says nothing about the site, nor about any session.

use http::header::{HeaderMap, SERVER};
use http::{HeaderName, StatusCode};

/// What it says of what it has not let through.
const ACTION: HeaderName = HeaderName::from_static("x-amzn-waf-action");
/// How the network before the site names itself, when the site has not answered.
const NETWORK: &str = "CloudFront";

/// Whether an answer is the firewall's own: a challenge, or a refusal.
pub(super) fn has_answered(status: StatusCode, headers: &HeaderMap) -> bool {
    let by_network = headers.get(SERVER).is_some_and(|server| server == NETWORK);
    headers.contains_key(ACTION) || by_network && status.is_client_error()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn challenges_and_refusals_are_its_own() {
        let with =
            |name: HeaderName, value: &'static str| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        assert!(has_answered(StatusCode::ACCEPTED, &with(ACTION, "challenge")));
        assert!(has_answered(StatusCode::FORBIDDEN, &with(SERVER, "CloudFront")));
        assert!(!has_answered(StatusCode::OK, &with(SERVER, "CloudFront")));
        assert!(!has_answered(StatusCode::FORBIDDEN, &with(SERVER, "AtlassianEdge")));
        assert!(!has_answered(StatusCode::FORBIDDEN, &HeaderMap::new()));
    }
}
