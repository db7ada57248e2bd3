//! The decision by table: access, session, admission and condition, method by method.

use http::{HeaderMap, Version};

use super::*;
use crate::condition::Condition;
use crate::email::SpeaksFor;
use crate::ids::ProviderName;
use crate::portal::HostName;
use crate::portal::request::Parts;
use crate::portal::settings::AdmissionSettings;

fn request(method: &Method, target: &str) -> CanonicalRequest {
    let mut headers = HeaderMap::new();
    headers.insert("host", "support.acme.com".parse().unwrap());
    let target = target.as_bytes();
    let parts = Parts { method, version: Version::HTTP_11, target, authority: None, headers: &headers };
    CanonicalRequest::read(parts).unwrap()
}

fn session(provider: &str) -> Arc<LiveSession> {
    let identity = VerifiedIdentity::for_test(provider, "1", "ana@acme.com");
    LiveSession::for_test(identity, &HostName::parse("support.acme.com").unwrap(), Timestamp::from_seconds(0))
}

fn outcome(method: &Method, demand: Demand<'_>, session: Option<Arc<LiveSession>>) -> String {
    let providers = [(ProviderName::parse("okta").unwrap(), SpeaksFor::default())].into();
    let admission = Admission::new(&AdmissionSettings { providers, ..AdmissionSettings::default() });
    let circumstances = Circumstances { client: None, certificate: None, now: Timestamp::from_seconds(1) };
    match decide(&request(method, "/x"), demand, session, &admission, &circumstances) {
        Decision::Forward(permit) if permit.session().is_some() => "signed in".into(),
        Decision::Forward(_) => "anonymous".into(),
        Decision::NotAdmitted(reason) => reason.reason().into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn an_anonymous_write_never_passes() {
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        assert_eq!(outcome(&method, Demand::Needs(Access::Public, None), None), "SignIn", "{method}");
        assert_eq!(outcome(&method, Demand::Needs(Access::Public, None), Some(session("okta"))), "signed in");
    }
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(outcome(&method, Demand::Needs(Access::Public, None), None), "anonymous", "{method}");
    }
}

#[test]
fn closed_and_denied_paths_are_so_for_everybody() {
    for session in [None, Some(session("okta"))] {
        assert_eq!(outcome(&Method::GET, Demand::Closed, session.clone()), "Closed");
        assert_eq!(outcome(&Method::GET, Demand::Needs(Access::Deny, None), session), "Deny");
    }
}

#[test]
fn a_rules_condition_holds_for_the_person_who_is_signed_in() {
    let condition = |text| Condition::parse(text).unwrap();
    for (text, expected) in [
        ("email_domain == 'acme.com'", "signed in"),
        ("'vip' in groups", "RuleNotMet"),
        ("'x' in claims.missing", "RuleNotMet"),
        ("cidr('10.0.0.0/8').containsIP(client_ip)", "RuleNotMet"),
        ("!cidr('10.0.0.0/8').containsIP(client_ip)", "RuleNotMet"),
    ] {
        let condition = condition(text);
        for access in [Access::SignedIn, Access::Public] {
            let demand = Demand::Needs(access, Some(&condition));
            assert_eq!(outcome(&Method::GET, demand, Some(session("okta"))), expected, "{text}");
            assert_eq!(outcome(&Method::GET, demand, None), "SignIn", "{text}: nobody meets no condition");
            assert_eq!(outcome(&Method::GET, demand, Some(session("gone"))), "not_admitted_provider");
        }
    }
}
