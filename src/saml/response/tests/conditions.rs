//! What a message has to say (A40 to A60), exact at the boundaries. Each message is signed as it stands.

use std::time::Duration;

use super::{accepted, refused, refused_as, verify, verify_as};
use crate::saml::names::BEARER;
use crate::saml::response::{Expected, InResponseTo};
use crate::saml::test_signer::{
    ACS, EVIL, GOOD, IDP, Message, NOW, REQUEST, SP, at, attribute, audience, conditions, confirmation, sign,
};

fn skew(seconds: u64) -> impl Fn(&mut Expected<'_>) {
    move |expected| expected.skew = Duration::from_secs(seconds)
}

/// The usual attributes of a Response but for one.
fn response_with(name: &str, value: Option<&str>) -> Message {
    let mut message = Message::default();
    let start = message.response_attributes.find(&format!("{name}=\"")).unwrap();
    let end = start + name.len() + 2 + message.response_attributes[start + name.len() + 2..].find('"').unwrap() + 1;
    let value = value.map(|value| format!("{name}=\"{value}\"")).unwrap_or_default();
    message.response_attributes.replace_range(start..end, &value);
    message
}

fn data(recipient: &str, end: &str, answers: &str, more: &str) -> String {
    confirmation(&format!(r#"Recipient="{recipient}" NotOnOrAfter="{end}" InResponseTo="{answers}" {more}"#))
}

#[test]
fn a40_s10_destination_is_compared_octet_by_octet() {
    for wrong in [
        "https://other.example/.vestibule/saml/idp/acs",
        &ACS.replace("https", "http"),
        &format!("{ACS}/"),
        &ACS.to_uppercase(),
        &format!("{ACS}?a=b"),
        &ACS.replace(".example/", ".example:443/"),
        &ACS.replace("idp", "other"),
        &format!(" {ACS}"),
        "",
    ] {
        let message = response_with("Destination", Some(wrong));
        for text in [message.response_signed(), message.assertion_signed(), message.both_signed()] {
            refused(&text, "saml_destination");
        }
    }
    let message = response_with("Destination", None);
    refused(&message.response_signed(), "saml_destination");
    refused(&message.both_signed(), "saml_destination");
    assert_eq!(accepted(&message.assertion_signed()), GOOD, "an unsigned Response need not say");
}

#[test]
fn a41_one_bearer_confirmation_holds_wholly() {
    let good = data(ACS, &at(300), REQUEST, "");
    let with = |confirmation: String| Message { confirmation, ..Message::default() }.response_signed();
    let other = data("https://other.example/acs", &at(300), REQUEST, "");
    for (confirmation, reason) in [
        (other.clone(), "saml_recipient"),
        (data(&format!("{ACS}/"), &at(300), REQUEST, ""), "saml_recipient"),
        (confirmation(&format!(r#"NotOnOrAfter="{}" InResponseTo="{REQUEST}""#, at(300))), "saml_recipient"),
        (String::new(), "saml_no_bearer"),
        (good.replace("cm:bearer", "cm:holder-of-key"), "saml_no_bearer"),
        (good.replace("cm:bearer", "cm:sender-vouches"), "saml_no_bearer"),
        (format!(r#"<saml:SubjectConfirmation Method="{BEARER}"/>"#), "saml_confirmation"),
    ] {
        refused(&with(confirmation), reason);
    }
    for confirmations in [
        format!("{other}{good}"),
        format!("{good}{other}"),
        format!("{}{good}", good.replace("cm:bearer", "cm:holder-of-key")),
    ] {
        assert_eq!(accepted(&with(confirmations)), GOOD);
    }
    // What is right in two halves is right in none.
    let halves = format!("{other}{}", data(ACS, &at(-300), REQUEST, ""));
    refused(&with(halves), "saml_recipient");
}

#[test]
fn a42_bearer_data_has_an_end_and_no_beginning() {
    let with = |confirmation: String| Message { confirmation, ..Message::default() }.response_signed();
    let before = format!(r#"NotBefore="{}""#, at(-60));
    refused(&with(data(ACS, &at(300), REQUEST, &before)), "saml_confirmation");
    refused(&with(confirmation(&format!(r#"Recipient="{ACS}" InResponseTo="{REQUEST}""#))), "saml_confirmation");
    refused(&with(data(ACS, "soon", REQUEST, "")), "saml_confirmation");
    assert_eq!(accepted(&with(data(ACS, &at(300), REQUEST, r#"Address="192.0.2.1""#))), GOOD, "addresses change");
}

#[test]
fn a43_boundaries_are_exact() {
    let inside = audience(SP);
    let from = |before: i64| {
        let conditions = format!(r#"<saml:Conditions NotBefore="{}">{inside}</saml:Conditions>"#, at(before));
        Message { conditions, ..Message::default() }.response_signed()
    };
    let until = |end: i64| {
        let conditions = format!(r#"<saml:Conditions NotOnOrAfter="{}">{inside}</saml:Conditions>"#, at(end));
        Message { conditions, ..Message::default() }.response_signed()
    };
    let confirmed_until =
        |end: i64| Message { confirmation: data(ACS, &at(end), REQUEST, ""), ..Message::default() }.response_signed();
    for skew_seconds in [0, 60, 180] {
        let edge = i64::try_from(skew_seconds).unwrap();
        assert!(verify_as(&from(edge), skew(skew_seconds)).is_ok());
        refused_as(&from(edge + 1), "saml_not_yet_valid", skew(skew_seconds));
        for until in [&until as &dyn Fn(i64) -> String, &confirmed_until] {
            assert!(verify_as(&until(1 - edge), skew(skew_seconds)).is_ok());
            refused_as(&until(-edge), "saml_expired", skew(skew_seconds));
            refused_as(&until(-edge - 1), "saml_expired", skew(skew_seconds));
        }
    }
    // To the millisecond.
    let conditions =
        format!(r#"<saml:Conditions NotBefore="{}">{inside}</saml:Conditions>"#, at(0).replace('Z', ".001Z"));
    refused_as(&Message { conditions, ..Message::default() }.response_signed(), "saml_not_yet_valid", skew(0));
}

#[test]
fn a43_odd_times_are_refused_without_a_panic() {
    for odd in
        ["2026-01-01T12:00:60Z", "2026-01-01T12:00:00", "+262142-12-31T00:00:00Z", "-262143-01-01T00:00:00Z", "now", ""]
    {
        let conditions = format!(r#"<saml:Conditions NotOnOrAfter="{odd}">{}</saml:Conditions>"#, audience(SP));
        refused(&Message { conditions, ..Message::default() }.response_signed(), "saml_malformed");
        refused(&response_with("IssueInstant", Some(odd)).response_signed(), "saml_malformed");
    }
    for (odd, reason) in [("0000-01-01T00:00:00Z", "saml_expired"), ("9999-12-31T23:59:59.999Z", "")] {
        let conditions = format!(r#"<saml:Conditions NotOnOrAfter="{odd}">{}</saml:Conditions>"#, audience(SP));
        let text = Message { conditions, ..Message::default() }.response_signed();
        if reason.is_empty() { assert_eq!(accepted(&text), GOOD) } else { refused(&text, reason) }
    }
    let offset = at(0).replace('Z', "+00:00");
    assert_eq!(accepted(&response_with("IssueInstant", Some(&offset)).response_signed()), GOOD);
}

#[test]
fn a44_the_audience_is_us_octet_by_octet() {
    let with = |conditions: String| Message { conditions, ..Message::default() }.response_signed();
    refused(&with(String::new()), "saml_audience");
    refused(&with(conditions("")), "saml_audience");
    refused(&with(conditions("<saml:AudienceRestriction/>")), "saml_audience");
    for wrong in [
        "",
        "https://other.example/saml",
        &format!("{SP}/"),
        &SP[..SP.len() - 1],
        &SP.to_uppercase(),
        &format!(" {SP} "),
        &format!("{SP}.evil.test"),
    ] {
        refused(&with(conditions(&audience(wrong))), "saml_audience");
    }
    // Even somebody who has no entity id of their own is not the audience of everything.
    let none = |expected: &mut Expected<'_>| expected.service_provider = "";
    refused_as(&with(conditions(&audience(""))), "saml_audience", none);
}

#[test]
fn a45_a46_all_restrictions_hold_and_one_audience_of_each() {
    let with = |inside: String| Message { conditions: conditions(&inside), ..Message::default() }.response_signed();
    let (ours, other) = (audience(SP), audience("https://other.example/saml"));
    refused(&with(format!("{ours}{other}")), "saml_audience");
    refused(&with(format!("{other}{ours}")), "saml_audience");
    let several = other.replace(
        "</saml:AudienceRestriction>",
        &format!("<saml:Audience>{SP}</saml:Audience></saml:AudienceRestriction>"),
    );
    assert_eq!(accepted(&with(several.clone())), GOOD);
    assert_eq!(accepted(&with(format!("{several}{ours}"))), GOOD);
}

#[test]
fn a47_a52_conditions_are_known_or_refuse() {
    let with =
        |inside: &str| Message { conditions: conditions(&format!("{}{inside}", audience(SP))), ..Message::default() };
    refused(&with(r#"<x:Condition xmlns:x="urn:x"/>"#).response_signed(), "saml_unknown_condition");
    refused(&with("<saml:Condition/>").response_signed(), "saml_unknown_condition");
    refused(&with(r#"<x:OneTimeUse xmlns:x="urn:x"/>"#).response_signed(), "saml_unknown_condition");
    let once = verify(&with("<saml:OneTimeUse/>").response_signed()).unwrap();
    assert!(once.one_time_use && !once.proxy_restricted);
    refused(&with("<saml:OneTimeUse/><saml:OneTimeUse/>").response_signed(), "saml_malformed");
    let proxied = verify(&with(r#"<saml:ProxyRestriction Count="0"/>"#).response_signed()).unwrap();
    assert_eq!((proxied.proxy_restricted, proxied.proxy_count), (true, Some(0)));
    assert!(verify(&with("<saml:ProxyRestriction/>").response_signed()).unwrap().proxy_restricted);
    refused(&with(r#"<saml:ProxyRestriction Count="-1"/>"#).response_signed(), "saml_unknown_condition");
}

#[test]
fn a48_s11_old_and_future_messages_are_refused() {
    for (seconds, believed) in [
        (0, true),
        (-1_800, true),
        (-1_860, true),
        (-1_861, false),
        (-3_600, false),
        (-31_536_000, false),
        (300, true),
        (301, false),
        (3_600, false),
    ] {
        let response = response_with("IssueInstant", Some(&at(seconds))).response_signed();
        let attributes = format!(r#"Version="2.0" IssueInstant="{}""#, at(seconds));
        let assertion = Message { assertion_attributes: attributes, ..Message::default() }.assertion_signed();
        for text in [response, assertion] {
            if believed { assert_eq!(accepted(&text), GOOD, "{seconds}") } else { refused(&text, "saml_issue_instant") }
        }
    }
    refused(&response_with("IssueInstant", Some("2999-01-01T00:00:00Z")).response_signed(), "saml_issue_instant");
    refused(&response_with("IssueInstant", None).response_signed(), "saml_malformed");
}

#[test]
fn a49_s7_what_it_answers_is_said_twice_and_is_ours() {
    let in_data = |answers: &str| Message { confirmation: data(ACS, &at(300), answers, ""), ..Message::default() };
    let nothing_in_data = Message {
        confirmation: confirmation(&format!(r#"Recipient="{ACS}" NotOnOrAfter="{}""#, at(300))),
        ..Message::default()
    };
    for message in [
        in_data("_other"),
        in_data(""),
        nothing_in_data.clone(),
        response_with("InResponseTo", Some("_other")),
        response_with("InResponseTo", None),
        response_with("InResponseTo", Some("")),
    ] {
        for text in [message.response_signed(), message.assertion_signed()] {
            refused(&text, "saml_in_response_to");
        }
    }
    // Unsolicited is switched on: one that answers something is refused all the same.
    let unsolicited = |expected: &mut Expected<'_>| expected.in_response_to = InResponseTo::Unsolicited;
    let halves = [response_with("InResponseTo", None), nothing_in_data, Message::default()];
    for message in halves {
        refused_as(&message.response_signed(), "saml_in_response_to", unsolicited);
    }
}

#[test]
fn a51_the_assertion_names_the_replay() {
    let assertion = sign(&Message::default().assertion(), "_assertion");
    let once = verify(&Message::default().response(&assertion)).unwrap();
    let again = Message { response_id: "_another".into(), ..Message::default() };
    let again = verify(&again.response(&assertion)).unwrap();
    assert_eq!(once.assertion_id, again.assertion_id);
    assert_ne!(once.response_id, again.response_id);
    // It is believed until the earlier of both ends, and the skew.
    let confirmation = data(ACS, &at(120), REQUEST, "");
    let sooner = verify(&Message { confirmation, ..Message::default() }.response_signed()).unwrap();
    assert_eq!(sooner.not_on_or_after.seconds(), NOW.seconds() + 180);
}

#[test]
fn a53_how_and_when_somebody_signed_in_counts_when_asked() {
    let signed_in = |seconds: i64, class: &str| {
        let statement = format!(
            r#"<saml:AuthnStatement AuthnInstant="{}"><saml:AuthnContext><saml:AuthnContextClassRef>{class}</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"#,
            at(seconds)
        );
        Message { statement, ..Message::default() }.response_signed()
    };
    let max_age = |expected: &mut Expected<'_>| expected.requested.max_age = Some(Duration::from_secs(600));
    assert_eq!(accepted(&signed_in(-100_000, "a")), GOOD);
    assert!(verify_as(&signed_in(-660, "a"), max_age).is_ok());
    refused_as(&signed_in(-661, "a"), "saml_stale_authentication", max_age);
    let forced = |expected: &mut Expected<'_>| expected.requested.force_authn_after = Some(NOW);
    assert!(verify_as(&signed_in(-60, "a"), forced).is_ok());
    refused_as(&signed_in(-61, "a"), "saml_stale_authentication", forced);
    let strong =
        |expected: &mut Expected<'_>| expected.requested.authn_contexts = vec!["urn:mfa".into(), "urn:b".into()];
    assert!(verify_as(&signed_in(0, "urn:b"), strong).is_ok());
    refused_as(&signed_in(0, "urn:password"), "saml_authn_context", strong);
    refused(&signed_in(301, "a"), "saml_not_yet_valid");
    let silent = format!(r#"<saml:AuthnStatement AuthnInstant="{}"/>"#, at(0));
    let text = Message { statement: silent, ..Message::default() }.response_signed();
    assert_eq!(verify(&text).unwrap().authn_context, None);
    refused_as(&text, "saml_authn_context", strong);
}

#[test]
fn a54_the_providers_session_end_is_kept() {
    let ends = |seconds: &[i64]| {
        let one = |seconds: &i64| {
            format!(
                r#"<saml:AuthnStatement AuthnInstant="{}" SessionNotOnOrAfter="{}" SessionIndex="s{seconds}"/>"#,
                at(0),
                at(*seconds)
            )
        };
        Message { statement: seconds.iter().map(one).collect(), ..Message::default() }.response_signed()
    };
    let response = verify(&ends(&[900, 600])).unwrap();
    assert_eq!(response.session_not_on_or_after.unwrap().seconds(), NOW.seconds() + 600);
    assert_eq!(response.session_indexes, ["s900", "s600"]);
    refused(&ends(&[-60]), "saml_session_over");
    assert_eq!(accepted(&ends(&[-59])), GOOD);
}

#[test]
fn a55_somebody_has_signed_in() {
    let message = Message { statement: String::new(), attributes: attribute("a", &["b"]), ..Message::default() };
    refused(&message.response_signed(), "saml_no_authn_statement");
    refused(
        &Message { statement: "<saml:AuthnStatement/>".into(), ..Message::default() }.response_signed(),
        "saml_malformed",
    );
}

#[test]
fn a56_s10_only_success_is_success() {
    let status = |inside: &str| format!("<samlp:Status>{inside}</samlp:Status>");
    let code = |value: &str, inside: &str| {
        format!(r#"<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:{value}">{inside}</samlp:StatusCode>"#)
    };
    for (status, reason) in [
        (status(&code("Responder", "")), "saml_status"),
        (status(&code("Responder", &code("Success", ""))), "saml_status"),
        (status(&code("Requester", &code("AuthnFailed", ""))), "saml_status"),
        (status(&code("success", "")), "saml_status"),
        (status("<samlp:StatusCode/>"), "saml_status"),
        (status(""), "saml_malformed"),
        (status(&format!("{}{}", code("Success", ""), code("Responder", ""))), "saml_malformed"),
        (String::new(), "saml_malformed"),
        (format!("{}{}", status(&code("Success", "")), status(&code("Responder", ""))), "saml_malformed"),
    ] {
        let message = Message { status, ..Message::default() };
        for text in [message.response_signed(), message.assertion_signed(), message.both_signed()] {
            refused(&text, reason);
        }
    }
    let message = status(&format!("{}<samlp:StatusMessage>no\nway</samlp:StatusMessage>", code("Responder", "")));
    let rejected = verify(&Message { status: message, ..Message::default() }.response_signed()).unwrap_err();
    assert!(rejected.sentence().contains(r#""no\nway""#), "{rejected}");
}

#[test]
fn a57_all_issuers_agree() {
    let issuer = |text: &str| format!("<saml:Issuer>{text}</saml:Issuer>");
    let email =
        format!(r#"<saml:Issuer Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress">{IDP}</saml:Issuer>"#);
    for wrong in
        [issuer("https://other.example"), issuer(""), issuer(&format!(" {IDP}")), issuer(&format!("{IDP}/")), email]
    {
        let response = Message { response_issuer: wrong.clone(), ..Message::default() };
        for text in [response.response_signed(), response.assertion_signed()] {
            refused(&text, "saml_issuer");
        }
        refused(&Message { assertion_issuer: wrong, ..Message::default() }.assertion_signed(), "saml_issuer");
    }
    refused(&Message { assertion_issuer: String::new(), ..Message::default() }.assertion_signed(), "saml_malformed");
    let silent = Message { response_issuer: String::new(), ..Message::default() };
    assert_eq!(accepted(&silent.response_signed()), GOOD);
    let format =
        format!(r#"<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">{IDP}</saml:Issuer>"#);
    assert_eq!(accepted(&Message { assertion_issuer: format, ..Message::default() }.assertion_signed()), GOOD);
    // Another provider, whose keys are other ones, asks in vain with an honest message of the first.
    refused_as(&Message::default().both_signed(), "saml_issuer", |expected| {
        expected.identity_provider = "https://other.example"
    });
    refused_as(&Message::default().both_signed(), "saml_audience", |expected| {
        expected.service_provider = "https://other.example"
    });
}

#[test]
fn a60_the_subject_is_named_once() {
    let with = |name_id: String| Message { name_id, ..Message::default() }.response_signed();
    let one = |value: &str| format!("<saml:NameID>{value}</saml:NameID>");
    for (name_id, reason) in [
        (String::new(), "saml_name_id"),
        (one(""), "saml_name_id"),
        (one("  "), "saml_name_id"),
        (one(&"a".repeat(10_240)), "saml_name_id"),
        (format!("{}{}", one(GOOD), one(EVIL)), "saml_malformed"),
        ("<saml:BaseID/>".to_owned(), "saml_name_id"),
    ] {
        refused(&with(name_id), reason);
    }
    for value in [" a ", "ANA@ACME.EXAMPLE", "a@b@c", "\"a\"@b", "а@acme.example", "a."] {
        assert_eq!(accepted(&with(one(value))), value, "kept as it was signed");
    }
    refused(
        &Message::default().response_signed().replace("<saml:Subject>", "").replace("</saml:Subject>", ""),
        "saml_signature_invalid",
    );
    let none = Message::default();
    let text = none
        .response(&none.assertion())
        .replace(&format!("<saml:Subject>{}{}</saml:Subject>", none.name_id, none.confirmation), "");
    refused(&sign(&text, "_response"), "saml_malformed");
}

#[test]
fn versions_and_ids_are_needed() {
    for version in ["1.1", "2.1", "", "2"] {
        refused(&response_with("Version", Some(version)).response_signed(), "saml_malformed");
    }
    refused(
        &Message { assertion_attributes: format!(r#"IssueInstant="{}""#, at(0)), ..Message::default() }
            .response_signed(),
        "saml_malformed",
    );
    let nameless = Message::default();
    let text = nameless.response(&nameless.assertion().replace(r#" ID="_assertion""#, ""));
    refused(&sign(&text, "_response"), "saml_malformed");
}

#[test]
fn a61_attributes_are_bounded() {
    let groups: Vec<String> = (0..1_000).map(|number| format!("group-{number}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let response =
        verify(&Message { attributes: attribute("groups", &groups), ..Message::default() }.response_signed()).unwrap();
    assert_eq!(response.attributes.values("groups").count(), 1_000);
    let many = vec!["x"; 5_000];
    refused(
        &Message { attributes: attribute("groups", &many), ..Message::default() }.response_signed(),
        "saml_attributes",
    );
    let encrypted = "<saml:AttributeStatement><saml:EncryptedAttribute/></saml:AttributeStatement>".to_owned();
    refused(&Message { attributes: encrypted, ..Message::default() }.response_signed(), "saml_attributes");
}
