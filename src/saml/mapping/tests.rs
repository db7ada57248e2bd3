use super::*;
use crate::saml::name_id::NameId;
use crate::saml::names::{NAMEID_EMAIL, NAMEID_PERSISTENT, NAMEID_TRANSIENT};
use crate::saml::response::Attribute;
use crate::saml::response::verify_xml;
use crate::saml::test_signer::{self, Message};

/// A verified response with this NameID and these attributes.
fn response(value: &str, format: Option<&str>, attributes: &[(&str, &[&str])]) -> VerifiedResponse {
    let keys = test_signer::keys();
    let text = Message::default().both_signed();
    let mut response = verify_xml(text.as_bytes(), &test_signer::expected(&keys, &[])).unwrap();
    let name_id = NameId {
        value: value.into(),
        format: format.map(str::to_owned),
        name_qualifier: None,
        sp_name_qualifier: None,
    };
    let attributes = attributes.iter().map(|(name, values)| Attribute {
        name: (*name).to_owned(),
        name_format: None,
        friendly_name: Some("mail".into()),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    });
    response.name_id = name_id;
    response.attributes = Attributes::new(attributes.collect());
    response
}

/// One attribute as it is sent.
type Sent<'a> = (&'a str, &'a [&'a str]);

fn mapped(attributes: &[Sent<'_>]) -> Mapped {
    Mapping::default().apply(&response("u1", Some(NAMEID_PERSISTENT), attributes)).unwrap()
}

#[test]
fn the_usual_providers_work_unmapped() {
    let schemas = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims";
    let claim = |name: &str| format!("{schemas}/{name}");
    let (mail, given, family, name) = (claim("emailaddress"), claim("givenname"), claim("surname"), claim("name"));
    let microsoft = "http://schemas.microsoft.com/ws/2008/06/identity/claims";
    let (groups, role) = (format!("{microsoft}/groups"), format!("{microsoft}/role"));
    let providers: [(&str, Vec<Sent<'_>>); 10] = [
        (
            "AD FS",
            vec![
                (&mail, &["ana@acme.example"]),
                (&given, &["Ana"]),
                (&family, &["Lima"]),
                ("http://schemas.xmlsoap.org/claims/Group", &["staff"]),
            ],
        ),
        (
            "Entra ID",
            vec![
                (&name, &["ana_upn@acme.example"]),
                (&mail, &["ana@acme.example"]),
                ("http://schemas.microsoft.com/identity/claims/displayname", &["Ana Lima"]),
                (&groups, &["staff"]),
            ],
        ),
        (
            "Okta",
            vec![
                ("email", &["ana@acme.example"]),
                ("firstName", &["Ana"]),
                ("lastName", &["Lima"]),
                ("groups", &["staff"]),
            ],
        ),
        (
            "Google",
            vec![
                ("email", &["ana@acme.example"]),
                ("first_name", &["Ana"]),
                ("last_name", &["Lima"]),
                ("groups", &["staff"]),
            ],
        ),
        (
            "OneLogin",
            vec![
                ("User.email", &["ana@acme.example"]),
                ("User.FirstName", &["Ana"]),
                ("User.LastName", &["Lima"]),
                ("memberOf", &["staff"]),
            ],
        ),
        (
            "PingFederate",
            vec![("mail", &["ana@acme.example"]), ("givenName", &["Ana"]), ("sn", &["Lima"]), ("memberOf", &["staff"])],
        ),
        (
            "Keycloak",
            vec![
                ("urn:oid:1.2.840.113549.1.9.1", &["ana@acme.example"]),
                ("urn:oid:2.5.4.42", &["Ana"]),
                ("urn:oid:2.5.4.4", &["Lima"]),
                ("Role", &["staff"]),
            ],
        ),
        (
            "Shibboleth",
            vec![
                ("urn:oid:0.9.2342.19200300.100.1.3", &["ana@acme.example"]),
                ("urn:oid:2.16.840.1.113730.3.1.241", &["Ana Lima"]),
                ("urn:oid:1.3.6.1.4.1.5923.1.5.1.1", &["staff"]),
            ],
        ),
        (
            "SimpleSAMLphp",
            vec![("mail", &["ana@acme.example"]), ("displayName", &["Ana Lima"]), ("eduPersonAffiliation", &["staff"])],
        ),
        ("LemonLDAP::NG", vec![("mail", &["ana@acme.example"]), ("cn", &["Ana Lima"]), (&role, &["staff"])]),
    ];
    for (provider, attributes) in providers {
        let mapped = mapped(&attributes);
        assert_eq!(mapped.email.unwrap().as_str(), "ana@acme.example", "{provider}");
        assert_eq!(mapped.display_name.as_deref(), Some("Ana Lima"), "{provider}");
        assert_eq!(mapped.groups, ["staff"], "{provider}");
    }
}

#[test]
fn the_email_is_the_name_id_only_when_it_says_so() {
    let email = |value: &str, format: Option<&str>| Mapping::default().email(&response(value, format, &[]));
    assert_eq!(email("ana@acme.example", Some(NAMEID_EMAIL)).unwrap().as_str(), "ana@acme.example");
    assert_eq!(email("ana@acme.example", None), None);
    assert_eq!(email("ana@evil.test@acme.example", Some(NAMEID_EMAIL)), None);
    let mapping = Mapping { email: Some("work".into()), ..Mapping::default() };
    let response = response("ana@acme.example", Some(NAMEID_EMAIL), &[("mail", &["b@acme.example"])]);
    assert_eq!(mapping.email(&response), None, "a mapped attribute is the only one that is asked");
}

#[test]
fn a58_a60_the_account_is_never_the_email() {
    let attributes: &[(&str, &[&str])] = &[("mail", &["ana@acme.example"])];
    let key = |value: &str, format| Mapping::default().apply(&response(value, format, attributes)).unwrap().subject;
    assert_ne!(key("a", None), key("b", None));
    assert_ne!(key("a", None), key("a", Some(NAMEID_PERSISTENT)));
    let transient = Mapping::default().apply(&response("a", Some(NAMEID_TRANSIENT), attributes));
    assert_eq!(transient.unwrap_err(), NoSubject::Transient);
}

#[test]
fn a_subject_from_an_attribute_is_one_value() {
    let mapping = Mapping { subject: SubjectFrom::Attribute("uid".into()), ..Mapping::default() };
    let subject = |values: &[&str]| mapping.apply(&response("a", Some(NAMEID_TRANSIENT), &[("uid", values)]));
    assert_eq!(subject(&["ana"]).unwrap().subject, "attribute|uid|ana");
    assert_eq!(subject(&["a|b%"]).unwrap().subject, "attribute|uid|a%7Cb%25");
    assert_eq!(subject(&["ana", "ana"]).unwrap().subject, "attribute|uid|ana");
    assert_eq!(subject(&["ana", "bea"]).unwrap_err(), NoSubject::Ambiguous("uid".into()));
    for none in [&[][..], &[""], &["  "], &["a\r\nb"], &[&*"a".repeat(2_000)]] {
        assert_eq!(subject(none).unwrap_err(), NoSubject::Missing("uid".into()));
    }
}

#[test]
fn a61_values_are_fit_for_headers_or_left_out() {
    let long = "x".repeat(1_025);
    let mapping = Mapping { claims: [("team".to_owned(), "t".to_owned())].into(), ..Mapping::default() };
    let values: &[&str] = &["a", "b\r\nX-Admin: 1", "c\u{0}", &long, "", "a", "é"];
    let attributes: &[(&str, &[&str])] = &[
        ("t", values),
        ("groups", values),
        ("displayName", &["A\nB", "Ana"]),
        ("mail", &["a\r\n@acme.example", "ana@acme.example"]),
    ];
    let mapped = mapping.apply(&response("u", None, attributes)).unwrap();
    assert_eq!(mapped.claims["team"], ["a", "é"]);
    assert_eq!(mapped.groups, ["a", "é"]);
    assert_eq!(mapped.display_name.as_deref(), Some("Ana"));
    assert_eq!(mapped.email.unwrap().as_str(), "ana@acme.example");
    let many: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(self::mapped(&[("groups", &many)]).groups.len(), 1_000);
}

#[test]
fn a61_friendly_names_are_not_looked_up() {
    // The helper gives every attribute the FriendlyName "mail".
    assert_eq!(mapped(&[("urn:other", &["evil@victim.test"])]).email, None);
}
