//! Messages that ours and other implementations are asked about: honest, odd and hostile, each freshly signed.

use bergshamra_c14n::C14nMode;

use super::wrapping;
use crate::saml::names::{
    AES128_CBC, AES128_GCM, AES192_CBC, AES192_GCM, AES256_CBC, AES256_GCM, BEARER, C14N, ECDSA_SHA256, ENVELOPED,
    EXC_C14N, EXC_C14N_WITH_COMMENTS, NAMEID_EMAIL, NAMEID_PERSISTENT, RSA_SHA1, RSA_SHA256, RSA_SHA384, RSA_SHA512,
    SAML, SHA1, SHA256, SHA384, SHA512,
};
use crate::saml::signing_key::SignatureAlgorithm;
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{
    ACS, EVIL, Encryption, GOOD, IDP, Message, REQUEST, SP, Signing, at, attribute, audience, conditions, confirmation,
    sign,
};

/// All of them, each with a name of its own.
pub(super) fn all() -> Vec<(String, String)> {
    let named = |(name, text): (&str, String)| (name.to_owned(), text);
    let mut all: Vec<(String, String)> = signatures().into_iter().map(named).collect();
    all.extend(shapes().into_iter().map(named));
    all.extend(envelopes().into_iter().map(named));
    all.extend(subjects().into_iter().map(named));
    all.extend(times().into_iter().map(named));
    all.extend(audiences().into_iter().map(named));
    all.extend(encrypted());
    all.extend(wrapping::all());
    all
}

fn message() -> Message {
    Message::default()
}

fn evil() -> Message {
    Message { assertion_id: "_evil".into(), name_id: format!("<saml:NameID>{EVIL}</saml:NameID>"), ..message() }
}

fn plain() -> String {
    message().response(&message().assertion())
}

/// What is signed, and how.
fn signatures() -> Vec<(&'static str, String)> {
    let transforms =
        |c14n: &str| format!(r#"<ds:Transforms><ds:Transform Algorithm="{ENVELOPED}"/>{c14n}</ds:Transforms>"#);
    let transform = |algorithm: &str| transforms(&format!(r#"<ds:Transform Algorithm="{algorithm}"/>"#));
    let prefixed = format!(
        r#"<ds:Transform Algorithm="{EXC_C14N}"><ec:InclusiveNamespaces xmlns:ec="{EXC_C14N}" PrefixList="xs samlp"/></ds:Transform>"#
    );
    let in_this_way = |how: &Signing| how.sign(&plain(), "_response");
    let with = |algorithm: SignatureAlgorithm, method: &str, digest: &str| {
        let how = Signing {
            method: format!(r#"<ds:SignatureMethod Algorithm="{method}"/>"#),
            digest_method: digest.into(),
            ..Signing::default()
        };
        let key = test_keys::one(Kind::Rsa2048).signing_key().with_algorithm(algorithm).unwrap();
        how.sign_with(&plain(), "_response", &key)
    };
    let key_info = |made: &test_keys::Made| {
        let certificate = crate::saml::base64::encode(&made.certificate);
        format!(
            "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        )
    };
    let (own, other) = (test_keys::one(Kind::Rsa2048), test_keys::other(Kind::Rsa2048));
    vec![
        ("Response signed", message().response_signed()),
        ("Assertion signed", message().assertion_signed()),
        ("both signed", message().both_signed()),
        ("Response signed with SHA-384", with(SignatureAlgorithm::RsaSha384, RSA_SHA384, SHA384)),
        ("Response signed with SHA-512", with(SignatureAlgorithm::RsaSha512, RSA_SHA512, SHA512)),
        (
            "a digest of SHA-1 under RSA-SHA256",
            in_this_way(&Signing { digest_method: SHA1.into(), ..Signing::default() }),
        ),
        ("said to be RSA-SHA1", message().both_signed().replace(RSA_SHA256, RSA_SHA1)),
        (
            "an HMAC, as if the certificate were a secret",
            in_this_way(&Signing {
                method: r#"<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"/>"#
                    .into(),
                ..Signing::default()
            }),
        ),
        ("signed by another", in_this_way(&Signing { other_key: true, ..Signing::default() })),
        (
            "signed by another, whose certificate is in it",
            in_this_way(&Signing { other_key: true, key_info: key_info(&other), ..Signing::default() }),
        ),
        (
            "signed by another, with the provider's certificate in it",
            in_this_way(&Signing { other_key: true, key_info: key_info(&own), ..Signing::default() }),
        ),
        ("with a certificate in it", in_this_way(&Signing { key_info: key_info(&own), ..Signing::default() })),
        (
            "ECDSA, by a key that is not in metadata",
            in_this_way(&Signing {
                kind: Kind::P256,
                method: format!(r#"<ds:SignatureMethod Algorithm="{ECDSA_SHA256}"/>"#),
                ..Signing::default()
            }),
        ),
        (
            "inclusive canonicalisation",
            in_this_way(&Signing { transforms: transform(C14N), mode: C14nMode::Inclusive, ..Signing::default() }),
        ),
        (
            "canonicalisation with comments, and none",
            in_this_way(&Signing { transforms: transform(EXC_C14N_WITH_COMMENTS), ..Signing::default() }),
        ),
        (
            "prefixes that keep their meaning",
            in_this_way(&Signing {
                transforms: transforms(&prefixed),
                prefixes: vec!["xs".into(), "samlp".into()],
                ..Signing::default()
            }),
        ),
        ("pretty-printed", sign(&plain().replace("><", ">\n<"), "_response")),
        ("unsigned", plain()),
        ("changed", message().both_signed().replace(GOOD, EVIL)),
        ("the signature emptied", emptied(&message().both_signed())),
        ("an Object in the signature", in_this_way(&Signing { object: "<ds:Object/>".into(), ..Signing::default() })),
        ("two References, both of them true", two_references()),
        ("a Reference to the whole document", in_this_way(&Signing { uri: Some(String::new()), ..Signing::default() })),
        (
            "a Reference to a file",
            in_this_way(&Signing { uri: Some("file:///etc/hostname".into()), ..Signing::default() }),
        ),
        (
            "the Response's signature lies in the Assertion",
            Signing { uri: Some("#_response".into()), ..Signing::default() }.sign(&plain(), "_assertion"),
        ),
        (
            "a good signature of the Assertion beside a bad one of the Response",
            Signing { other_key: true, ..Signing::default() }.sign(&message().assertion_signed(), "_response"),
        ),
    ]
}

/// The Reference twice, each with the right digest.
fn two_references() -> String {
    let once = message().response_signed();
    let start = once.find("<ds:Reference").unwrap();
    let end = once.find("</ds:Reference>").unwrap() + "</ds:Reference>".len();
    let extra_references = once[start..end].to_owned();
    Signing { extra_references, ..Signing::default() }.sign(&plain(), "_response")
}

/// The values of its signatures taken away.
fn emptied(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(start) = text.find("<ds:SignatureValue>") {
        let end = text.find("</ds:SignatureValue>").unwrap();
        text.replace_range(start..end + "</ds:SignatureValue>".len(), "<ds:SignatureValue/>");
    }
    text
}

/// Where the honest and the attacker's lie, and what is no proper XML.
fn shapes() -> Vec<(&'static str, String)> {
    let (evil, honest) = (evil().assertion(), sign(&message().assertion(), "_assertion"));
    let signed = message().response_signed();
    vec![
        ("evil before honest", message().response(&format!("{evil}{honest}"))),
        ("evil after honest", message().response(&format!("{honest}{evil}"))),
        (
            "evil around honest",
            message().response(&evil.replace("</saml:Assertion>", &format!("{honest}</saml:Assertion>"))),
        ),
        (
            "evil in Extensions",
            Message { extensions: format!("<samlp:Extensions>{evil}</samlp:Extensions>"), ..message() }
                .response(&honest),
        ),
        (
            "two honest Assertions",
            sign(
                &message().response(&format!(
                    "{honest}{}",
                    sign(&Message { assertion_id: "_second".into(), ..message() }.assertion(), "_second")
                )),
                "_response",
            ),
        ),
        (
            "two elements with one ID",
            sign(&message().response(&message().assertion().replace("_assertion", "_response")), "_response"),
        ),
        ("cut in the middle", signed[..2_000].to_owned()),
        ("a second root", format!("{signed}<x/>")),
        ("an undeclared prefix", signed.replace("</samlp:Status>", "<y:x/></samlp:Status>")),
        ("a document type", format!("<!DOCTYPE samlp:Response>{signed}")),
        (
            "an entity in the NameID",
            format!(r#"<!DOCTYPE r [<!ENTITY e "acme">]>{}"#, signed.replace("@acme.", "@&e;.")),
        ),
        ("a comment in the NameID", signed.replace("acme", "ac<!-- -->me")),
        ("a comment that would cut the NameID", with_name_id("admin@victim.test<!-- -->.acme.example")),
        ("an instruction in the NameID", with_name_id("ana@ac<?x?>me.example")),
        ("an element in the NameID", with_name_id("ana@<x/>acme.example")),
        ("white space around the NameID", with_name_id(" ana@acme.example ")),
    ]
}

fn with_name_id(value: &str) -> String {
    Message { name_id: format!("<saml:NameID>{value}</saml:NameID>"), ..message() }.response_signed()
}

/// What the Response says around the Assertion.
fn envelopes() -> Vec<(&'static str, String)> {
    let failed = message().status.replace("Success", "Responder");
    let attributes =
        |destination: &str, more: &str| format!(r#"Version="2.0" IssueInstant="{}" {destination}{more}"#, at(0));
    let (here, asked) = (format!(r#"Destination="{ACS}""#), format!(r#" InResponseTo="{REQUEST}""#));
    let with = |response_attributes: String| Message { response_attributes, ..message() };
    let destination = |value: &str| with(attributes(&format!(r#"Destination="{value}""#), &asked)).response_signed();
    let issuer = |value: &str| format!("<saml:Issuer>{value}</saml:Issuer>");
    vec![
        ("failed, Assertion signed", Message { status: failed.clone(), ..message() }.assertion_signed()),
        ("failed, Response signed", Message { status: failed, ..message() }.response_signed()),
        ("no status", Message { status: String::new(), ..message() }.response_signed()),
        ("another Destination", destination("https://other.example/acs")),
        ("a Destination with a slash more", destination(&format!("{ACS}/"))),
        ("no Destination, Response signed", with(attributes("", &asked)).response_signed()),
        ("no Destination, Assertion signed", with(attributes("", &asked)).assertion_signed()),
        ("answers another request", message().response_signed().replace(REQUEST, "_request-2")),
        ("answers another request, signed so", sign(&plain().replace(REQUEST, "_request-2"), "_response")),
        (
            "the Response answers another request, the Assertion ours",
            with(attributes(&here, r#" InResponseTo="_request-2""#)).assertion_signed(),
        ),
        ("the Response answers nothing", with(attributes(&here, "")).response_signed()),
        (
            "the Assertion answers another request, the Response ours",
            Message {
                confirmation: confirmation(&format!(
                    r#"Recipient="{ACS}" NotOnOrAfter="{}" InResponseTo="_request-2""#,
                    at(300)
                )),
                ..message()
            }
            .response_signed(),
        ),
        (
            "another issuer",
            Message { assertion_issuer: issuer("https://other.example"), ..message() }.response_signed(),
        ),
        (
            "another issuer of both",
            Message {
                assertion_issuer: issuer("https://other.example"),
                response_issuer: issuer("https://other.example"),
                ..message()
            }
            .response_signed(),
        ),
        (
            "another issuer of an unsigned Response",
            Message { response_issuer: issuer("https://other.example"), ..message() }.assertion_signed(),
        ),
        ("no issuer of the Response", Message { response_issuer: String::new(), ..message() }.assertion_signed()),
        ("no issuer of the Assertion", Message { assertion_issuer: String::new(), ..message() }.response_signed()),
        (
            "an issuer with a blank",
            Message { assertion_issuer: issuer(&format!("{IDP} ")), ..message() }.response_signed(),
        ),
        ("SAML 1.1, as it says", sign(&plain().replace(r#"Version="2.0""#, r#"Version="1.1""#), "_response")),
    ]
}

/// Who it is about, and who may bring it.
fn subjects() -> Vec<(&'static str, String)> {
    let confirmed = |text: String| Message { confirmation: text, ..message() }.response_signed();
    let data = |recipient: &str, until: i64, more: &str| {
        confirmation(&format!(r#"Recipient="{recipient}" NotOnOrAfter="{}" InResponseTo="{REQUEST}"{more}"#, at(until)))
    };
    let holder = message().confirmation.replace(BEARER, "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key");
    let named = |format: &str, value: &str| {
        Message { name_id: format!(r#"<saml:NameID Format="{format}">{value}</saml:NameID>"#), ..message() }
            .response_signed()
    };
    vec![
        ("another recipient", confirmed(data(&format!("{ACS}x"), 300, ""))),
        ("no recipient", confirmed(data(ACS, 300, "").replace(&format!(r#"Recipient="{ACS}""#), ""))),
        ("holder of key", confirmed(holder.clone())),
        ("holder of key, then bearer", confirmed(format!("{holder}{}", message().confirmation))),
        ("bearer, then holder of key", confirmed(format!("{}{holder}", message().confirmation))),
        ("a bearer for another recipient, then ours", confirmed(format!("{}{}", data("https://other.example/acs", 300, ""), message().confirmation))),
        ("no confirmation", confirmed(String::new())),
        ("a confirmation without an end", confirmed(confirmation(&format!(r#"Recipient="{ACS}" InResponseTo="{REQUEST}""#)))),
        ("a confirmation that has ended", confirmed(data(ACS, -1_000, ""))),
        ("a confirmation that begins later", confirmed(data(ACS, 3_000, &format!(r#" NotBefore="{}""#, at(1_000))))),
        ("no statement", Message { statement: String::new(), ..message() }.response_signed()),
        ("no NameID", Message { name_id: String::new(), ..message() }.response_signed()),
        ("an empty NameID", Message { name_id: "<saml:NameID/>".into(), ..message() }.response_signed()),
        ("a persistent NameID", named(NAMEID_PERSISTENT, GOOD)),
        ("an e-mail address as NameID", named(NAMEID_EMAIL, GOOD)),
        (
            "a NameID with qualifiers",
            Message {
                name_id: format!(
                    r#"<saml:NameID NameQualifier="{IDP}" SPNameQualifier="{SP}" Format="{NAMEID_PERSISTENT}">{GOOD}</saml:NameID>"#
                ),
                ..message()
            }
            .response_signed(),
        ),
        ("attributes", Message { attributes: attribute("groups", &["staff", "a &amp; b", "ü"]), ..message() }.both_signed()),
    ]
}

/// When it holds. One minute of skew is allowed for by ours; other implementations have their own.
fn times() -> Vec<(&'static str, String)> {
    let held = |before: i64, after: i64| {
        let conditions = format!(
            r#"<saml:Conditions NotBefore="{}" NotOnOrAfter="{}">{}</saml:Conditions>"#,
            at(before),
            at(after),
            audience(SP)
        );
        Message { conditions, ..message() }.response_signed()
    };
    let issued = |seconds: i64| {
        sign(
            &plain().replace(&format!(r#"IssueInstant="{}""#, at(0)), &format!(r#"IssueInstant="{}""#, at(seconds))),
            "_response",
        )
    };
    let authenticated = |seconds: i64| {
        let statement = message().statement.replace(&at(0), &at(seconds));
        Message { statement, ..message() }.response_signed()
    };
    let until = |quoted: &str| {
        sign(
            &plain().replace(&format!(r#"NotOnOrAfter="{}""#, at(300)), &format!("NotOnOrAfter={quoted}")),
            "_response",
        )
    };
    let session_until = |seconds: i64| {
        let end = format!(r#"<saml:AuthnStatement SessionNotOnOrAfter="{}""#, at(seconds));
        let statement = message().statement.replacen("<saml:AuthnStatement", &end, 1);
        Message { statement, ..message() }.response_signed()
    };
    vec![
        ("it holds from an hour ahead", held(3_600, 7_200)),
        ("it held until an hour ago", held(-7_200, -3_600)),
        ("it holds no longer than it began", held(300, -300)),
        ("issued a year ago", issued(-365 * 86_400)),
        ("issued a year ahead", issued(365 * 86_400)),
        ("a sign-in of an hour ago", authenticated(-3_600)),
        ("a sign-in of tomorrow", authenticated(86_400)),
        ("a session that has ended", session_until(-3_600)),
        ("a session that ends", session_until(3_600)),
        ("a time without a zone", until(&format!(r#""{}""#, at(300).trim_end_matches('Z')))),
        ("a time that is none", until(r#""later""#)),
        ("a time with fractions", until(&format!(r#""{}.123456Z""#, at(300).trim_end_matches('Z')))),
        ("a leap second", until(r#""2026-06-30T23:59:60Z""#)),
    ]
}

/// For whom it is.
fn audiences() -> Vec<(&'static str, String)> {
    let other = audience("https://other.example");
    let held = |inside: &str| Message { conditions: conditions(inside), ..message() }.response_signed();
    let several = "</saml:Audience><saml:Audience>";
    vec![
        ("another audience", held(&other)),
        ("an audience that begins like ours", held(&audience(&format!("{SP}/more")))),
        ("two audiences, one of them ours", held(&audience(&format!("https://other.example{several}{SP}")))),
        ("two restrictions, one of them ours", held(&format!("{}{other}", audience(SP)))),
        ("two restrictions, both ours", held(&audience(SP).repeat(2))),
        ("an empty audience", held(&audience(""))),
        ("no audience", held("")),
        ("no conditions", Message { conditions: String::new(), ..message() }.response_signed()),
        ("an unknown condition", held(&format!(r#"{}<x:C xmlns:x="urn:x"/>"#, audience(SP)))),
        ("for one time", held(&format!("{}<saml:OneTimeUse/>", audience(SP)))),
        ("with a limit for proxies", held(&format!(r#"{}<saml:ProxyRestriction Count="0"/>"#, audience(SP)))),
    ]
}

/// Encrypted in the usual ways, and in ways that prove nothing.
fn encrypted() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let inside = |how: &Encryption, plaintext: &str| message().response(&how.encrypt("EncryptedAssertion", plaintext));
    let honest = sign(&message().assertion(), "_assertion");
    for cipher in [AES128_CBC, AES192_CBC, AES256_CBC, AES128_GCM, AES192_GCM, AES256_GCM] {
        let how = Encryption { cipher: cipher.into(), ..Encryption::default() };
        let short = cipher.rsplit('#').next().unwrap();
        all.push((format!("encrypted with {short}, signed inside"), inside(&how, &honest)));
        all.push((
            format!("encrypted with {short}, Response signed"),
            sign(&inside(&how, &message().assertion()), "_response"),
        ));
    }
    let how = Encryption { cipher: AES128_CBC.into(), ..Encryption::default() };
    let mgf = Some("http://www.w3.org/2009/xmlenc11#mgf1sha256");
    let by_other = Signing { other_key: true, ..Signing::default() };
    let evil_inside = evil().assertion();
    let name_id = format!(r#"<saml:NameID xmlns:saml="{SAML}">{GOOD}</saml:NameID>"#);
    let hidden = Message { name_id: how.encrypt("EncryptedID", &name_id), ..message() };
    for (name, text) in [
        ("encrypted and signed throughout", sign(&inside(&how, &honest), "_response")),
        (
            "encrypted with OAEP of SHA-256",
            inside(&Encryption { cipher: AES128_CBC.into(), ..Encryption::oaep_11(SHA256, mgf) }, &honest),
        ),
        ("encrypted for another", inside(&Encryption { to_other: true, ..how.clone() }, &honest)),
        ("encrypted, and nobody signed", inside(&how, &evil_inside)),
        ("encrypted, signed inside by another", inside(&how, &by_other.sign(&evil_inside, "_evil"))),
        ("encrypted, changed inside", inside(&how, &honest.replace(GOOD, EVIL))),
        (
            "encrypted and changed inside, Response signed",
            sign(&inside(&how, &honest.replace(GOOD, EVIL)), "_response"),
        ),
        (
            "evil in the clear, honest encrypted",
            message().response(&format!("{evil_inside}{}", how.encrypt("EncryptedAssertion", &honest))),
        ),
        (
            "honest in the clear, evil encrypted",
            message().response(&format!("{honest}{}", how.encrypt("EncryptedAssertion", &evil_inside))),
        ),
        ("evil encrypted in a Response that was signed before", {
            let signed = message().response_signed();
            signed.replace(
                "</samlp:Response>",
                &format!("{}</samlp:Response>", how.encrypt("EncryptedAssertion", &evil_inside)),
            )
        }),
        ("an encrypted NameID, Response signed", hidden.response_signed()),
    ] {
        all.push((name.to_owned(), text));
    }
    all
}
