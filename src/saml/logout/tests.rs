//! A69 and A70: what ends sessions, and what is believed of how it ended.

use std::time::Duration;

use super::*;
use crate::saml::binding::{Direction, redirect};
use crate::saml::keys::{DecryptionKey, VerificationKeys};
use crate::saml::message::MessageRefused;
use crate::saml::metadata::Binding;
use crate::saml::names::{
    LOGOUT_BY_USER, NAMEID_PERSISTENT, SAMLP, STATUS_PARTIAL_LOGOUT, STATUS_RESPONDER, STATUS_SUCCESS,
};
use crate::saml::sign::sign;
use crate::saml::signature::SignaturePolicy;
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{self, GOOD, IDP, NOW, SP};
use crate::saml::test_xmlsec::xmlsec1_verifies;
use crate::saml::xml::{Xml, XmlLimits};

const SLO: &str = "https://portal.example/.vestibule/saml/idp/slo";
const SECOND: Duration = Duration::from_secs(1);

fn name_id() -> NameId {
    NameId {
        value: GOOD.into(),
        format: Some(NAMEID_PERSISTENT.into()),
        name_qualifier: Some(IDP.into()),
        sp_name_qualifier: Some(SP.into()),
    }
}

fn request<'a>(name_id: &'a NameId, session_indexes: &'a [String]) -> LogoutRequest<'a> {
    LogoutRequest {
        id: "_logout-1",
        issue_instant: NOW,
        destination: SLO,
        issuer: IDP,
        name_id,
        session_indexes,
        not_on_or_after: Some(NOW.after(Duration::from_secs(120))),
        reason: Some(LOGOUT_BY_USER),
    }
}

fn expected() -> ExpectedLogout<'static> {
    ExpectedLogout { issuer: IDP, destination: SLO, binding: Binding::Redirect, now: NOW, skew: 60 * SECOND }
}

fn read_as(
    text: &str,
    keys: &[DecryptionKey],
    expected: &ExpectedLogout<'_>,
) -> Result<ReceivedLogoutRequest, MessageRefused> {
    ReceivedLogoutRequest::read(&Xml::parse(text.as_bytes(), XmlLimits::MESSAGE).unwrap(), keys, expected)
}

fn read(text: &str) -> Result<ReceivedLogoutRequest, MessageRefused> {
    read_as(text, &[], &expected())
}

fn answer<'a>(status: Status<'a>) -> LogoutResponse<'a> {
    LogoutResponse {
        id: "_answer-1",
        issue_instant: NOW,
        destination: Some(SLO),
        issuer: IDP,
        in_response_to: "_logout-1",
        status,
    }
}

fn read_answer(text: &str, request: &str) -> Result<ReceivedLogoutResponse, MessageRefused> {
    ReceivedLogoutResponse::read(&Xml::parse(text.as_bytes(), XmlLimits::MESSAGE).unwrap(), request, &expected())
}

#[test]
fn a69_the_named_person_and_sessions_are_read() {
    let name_id = name_id();
    for indexes in [vec![], vec!["_one".to_owned()], vec!["_one".to_owned(), " two&\"<>".to_owned(), "3".to_owned()]] {
        let read = read(&request(&name_id, &indexes).to_element().to_xml()).unwrap();
        assert_eq!((&read.name_id, &read.session_indexes), (&name_id, &indexes));
        assert_eq!(read.head.believed_until(60 * SECOND), NOW.after(360 * SECOND));
    }
    let bare = NameId { format: None, name_qualifier: None, sp_name_qualifier: None, ..name_id };
    let unlimited = LogoutRequest { not_on_or_after: None, reason: None, ..request(&bare, &[]) };
    let text = unlimited.to_element().to_xml();
    assert!(!text.contains("Reason") && !text.contains("NotOnOrAfter"));
    assert_eq!(read(&text).unwrap().name_id, bare);
}

#[test]
fn a69_an_encrypted_name_is_read_with_our_key_alone() {
    let name_id = name_id();
    let to = EncryptionKey::from_certificate(&test_keys::other(Kind::Rsa2048).certificate).unwrap();
    let text = request(&name_id, &[]).to_encrypted_element(&to, &Random::default()).unwrap().to_xml();
    assert!(!text.contains(GOOD));
    assert_eq!(read_as(&text, &test_signer::decryption_keys(), &expected()).unwrap().name_id, name_id);
    assert_eq!(read(&text).unwrap_err(), MessageRefused::Decryption);
    let wrong = test_keys::one(Kind::Rsa2048).key_pem;
    let wrong = [DecryptionKey::from_pem(&crate::secret::Secret::generated(wrong)).unwrap()];
    assert_eq!(read_as(&text, &wrong, &expected()).unwrap_err(), MessageRefused::Decryption);
}

#[test]
fn a69_names_are_one_and_well_formed() {
    let name_id = name_id();
    let good = request(&name_id, &["_one".to_owned()]).to_element().to_xml();
    let name = name_id.to_element().to_xml();
    let index = "<samlp:SessionIndex>_one</samlp:SessionIndex>";
    assert!(read(&good).is_ok());
    for (from, to) in [
        (name.as_str(), format!("{name}{name}")),
        (&name, format!("{name}<saml:EncryptedID/>")),
        (&name, String::new()),
        (&name, "<saml:BaseID/>".to_owned()),
        (&name, format!("<saml:BaseID/>{name}")),
        (GOOD, String::new()),
        (GOOD, "ana<!-- -->@acme.example".to_owned()),
        (GOOD, "<b>ana@acme.example</b>".to_owned()),
        (&name, format!("<x>{name}</x>")),
        (index, "<samlp:SessionIndex/>".to_owned()),
        (index, "<samlp:SessionIndex> </samlp:SessionIndex>".to_owned()),
        (index, "<samlp:SessionIndex>_o<!-- -->ne</samlp:SessionIndex>".to_owned()),
        // Were it passed over, the request would name no session, and so all of them.
        (index, "<saml:SessionIndex>_one</saml:SessionIndex>".to_owned()),
        (index, "<SessionIndex>_one</SessionIndex>".to_owned()),
        (index, format!("<samlp:SessionIndex>{}</samlp:SessionIndex>", "x".repeat(2_000))),
        (index, index.repeat(257)),
    ] {
        let text = good.replacen(from, &to, 1);
        assert_ne!(text, good);
        assert!(read(&text).is_err(), "{text}");
    }
    assert_eq!(read(&good.replacen(index, &index.repeat(256), 1)).unwrap().session_indexes.len(), 256);
}

#[test]
fn a69_sender_address_and_time_are_exact() {
    let name_id = name_id();
    let text = request(&name_id, &[]).to_element().to_xml();
    let at = |now: Timestamp| read_as(&text, &[], &ExpectedLogout { now, ..expected() }).map(|_| ());
    assert_eq!(at(NOW.before(60 * SECOND)), Ok(()));
    assert_eq!(at(NOW.before(60 * SECOND).before(Duration::from_millis(1))), Err(MessageRefused::IssueInstant));
    assert_eq!(at(NOW.after(180 * SECOND).before(Duration::from_millis(1))), Ok(()));
    assert_eq!(at(NOW.after(180 * SECOND)), Err(MessageRefused::Expired));
    let unlimited = LogoutRequest { not_on_or_after: None, ..request(&name_id, &[]) }.to_element().to_xml();
    let at = |now: Timestamp| read_as(&unlimited, &[], &ExpectedLogout { now, ..expected() }).map(|_| ());
    assert_eq!(at(NOW.after(360 * SECOND)), Ok(()));
    assert_eq!(at(NOW.after(360 * SECOND).after(Duration::from_millis(1))), Err(MessageRefused::IssueInstant));
    let odd = text.replace("NotOnOrAfter=\"2", "NotOnOrAfter=\"x2");
    assert_eq!(read(&odd).unwrap_err(), MessageRefused::Attribute("NotOnOrAfter"));

    for (destination, refused) in [
        ("https://portal.example/.vestibule/saml/idp/slo/", MessageRefused::Destination),
        ("https://PORTAL.example/.vestibule/saml/idp/slo", MessageRefused::Destination),
        ("https://portal.example/.vestibule/saml/idp/acs", MessageRefused::Destination),
        ("", MessageRefused::Destination),
    ] {
        let text = request(&name_id, &[]).to_element().attribute("Destination", destination).to_xml();
        assert_eq!(read(&text).unwrap_err(), refused, "{destination}");
    }
    let without = text.replace(&format!(" Destination=\"{SLO}\""), "");
    assert_eq!(read(&without).unwrap_err(), MessageRefused::Destination);
    assert!(read_as(&without, &[], &ExpectedLogout { binding: Binding::Soap, ..expected() }).is_ok());

    for issuer in ["https://evil.example/metadata", "https://idp.example/metadata/", " https://idp.example/metadata"] {
        let text = LogoutRequest { issuer, ..request(&name_id, &[]) }.to_element().to_xml();
        assert_eq!(read(&text).unwrap_err(), MessageRefused::IssuerOfAnother, "{issuer}");
    }
    for (from, to) in [
        ("Version=\"2.0\"", "Version=\"1.1\""),
        ("ID=\"_logout-1\"", "ID=\"1 2\""),
        ("ID=\"_logout-1\" ", ""),
        ("LogoutRequest", "LogoutResponse"),
        ("LogoutRequest", "AuthnRequest"),
        ("2.0:protocol", "2.0:protocol2"),
    ] {
        assert!(read(&text.replace(from, to)).is_err(), "{to}");
    }
}

#[test]
fn a70_an_answer_says_how_it_ended_and_to_what() {
    let partial = Status::of(STATUS_SUCCESS, Some(STATUS_PARTIAL_LOGOUT));
    let failed = Status::of(STATUS_RESPONDER, Some(STATUS_PARTIAL_LOGOUT));
    for (status, success, partly) in [(Status::SUCCESS, true, false), (partial, false, true), (failed, false, true)] {
        let text = answer(status).to_element().to_xml();
        let read = read_answer(&text, "_logout-1").unwrap();
        assert_eq!(read.status.is_success(), success);
        assert_eq!(read.status.says(STATUS_PARTIAL_LOGOUT), partly);
        assert_eq!(read_answer(&text, "_logout-2").unwrap_err(), MessageRefused::InResponseTo);
    }
    let text = answer(Status::SUCCESS).to_element().to_xml();
    let without = text.replace(" InResponseTo=\"_logout-1\"", "");
    assert_eq!(read_answer(&without, "_logout-1").unwrap_err(), MessageRefused::InResponseTo);
    let stranger = LogoutResponse { issuer: "https://evil.example", ..answer(Status::SUCCESS) }.to_element().to_xml();
    assert_eq!(read_answer(&stranger, "_logout-1").unwrap_err(), MessageRefused::IssuerOfAnother);
    let no_status = text.replace("samlp:Status>", "samlp:State>");
    assert!(read_answer(&no_status, "_logout-1").is_err());
    assert_eq!(
        read_answer(&request(&name_id(), &[]).to_element().to_xml(), "_logout-1").unwrap_err(),
        MessageRefused::NotA("LogoutResponse")
    );
}

#[test]
fn xmlsec1_verifies_what_is_posted() {
    let made = test_keys::one(Kind::Rsa2048);
    let name_id = name_id();
    for (element, name) in [
        (request(&name_id, &["_one".to_owned()]).to_element(), "LogoutRequest"),
        (answer(Status::of(STATUS_RESPONDER, Some(STATUS_PARTIAL_LOGOUT))).to_element(), "LogoutResponse"),
    ] {
        let text = sign(element, &made.signing_key()).unwrap().to_xml();
        assert!(xmlsec1_verifies(&text, &format!("{SAMLP}:{name}"), &made.certificate_pem), "{text}");
    }
}

#[test]
fn s15_samael_reads_and_verifies_what_we_redirect() {
    use samael::crypto::UrlVerifier;
    let (made, name_id) = (test_keys::one(Kind::Rsa2048), name_id());
    let element = request(&name_id, &[]).to_element();
    let read: samael::schema::LogoutRequest = element.to_xml().parse().unwrap();
    assert_eq!(read.name_id.unwrap().value, GOOD);
    assert_eq!(read.destination.as_deref(), Some(SLO));
    let url = redirect::url(SLO, Direction::Request, &element, None, Some(&made.signing_key())).unwrap();
    let certificate = samael::crypto::CertificateDer::from(made.certificate);
    let verifier = UrlVerifier::from_x509(&certificate).unwrap();
    let path = url.strip_prefix("https://portal.example").unwrap().to_owned();
    assert!(verifier.verify_percent_encoded_request_uri_string(&path).unwrap());
}

#[test]
fn a71_what_nobody_signed_ends_nothing() {
    let name_id = name_id();
    let keys = VerificationKeys::from_certificates(&[test_keys::one(Kind::Rsa2048).certificate]).unwrap();
    let url = redirect::url(SLO, Direction::Request, &request(&name_id, &[]).to_element(), None, None).unwrap();
    let arrived = redirect::read(url.split_once('?').unwrap().1).unwrap();
    assert!(!arrived.is_signed());
    assert_eq!(arrived.verify(&keys, SignaturePolicy::default()).unwrap_err(), MessageRefused::Unsigned);
}
