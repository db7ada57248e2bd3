//! What conditions mean, and what is refused of them; and that the crate's own interpreter means the same.

use std::collections::{BTreeMap, HashMap};

use cel::{Context, Program, Value};
use proptest::prelude::*;

use super::*;
use crate::client_certificate::ClientCertificate;
use crate::clock::Timestamp;

struct Person {
    groups: Vec<String>,
    claims: BTreeMap<String, Vec<String>>,
}

impl Person {
    fn ana() -> Self {
        let claims = [
            ("department", &["support", "sales"][..]),
            ("level", &["3"]),
            ("email_verified", &["true"]),
            ("empty", &[]),
        ];
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            groups: texts(&["staff", "org-acme"]),
            claims: claims.into_iter().map(|(name, values)| (name.to_owned(), texts(values))).collect(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            email: Some("ana@acme.com"),
            email_domain: Some("acme.com"),
            groups: &self.groups,
            claims: &self.claims,
            provider: "okta",
            client: Some([10, 1, 2, 3].into()),
            certificate: None,
            now: Timestamp::from_seconds(1_764_099_000), // Tuesday, 2025-11-25T19:30:00Z
        }
    }
}

fn holds(text: &str) -> Result<bool, Absent> {
    let condition = Condition::parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"));
    condition.holds(&Person::ana().facts())
}

#[test]
fn conditions_hold_or_not() {
    for (text, expected) in [
        ("true", Ok(true)),
        ("\"staff\" in groups", Ok(true)),
        ("!(\"contractor\" in groups)", Ok(true)),
        ("'support' in claims.department", Ok(true)),
        ("\"support\" in claims[\"department\"] && email_domain == \"acme.com\"", Ok(true)),
        ("claims.department == 'support'", Ok(false)),
        ("claims.level == 3 && claims.level == '3'", Ok(true)),
        ("claims.email_verified == true", Ok(true)),
        ("claims.empty == ''", Ok(false)),
        ("has(claims.department) && !has(claims.missing)", Ok(true)),
        ("'x' in claims.missing", Err(Absent)),
        ("!('x' in claims.missing)", Err(Absent)),
        ("claims.missing == 'x'", Err(Absent)),
        ("has(claims.missing) && 'x' in claims.missing", Ok(false)),
        ("'x' in claims.missing || 'staff' in groups", Ok(true)),
        ("'x' in claims.missing && 'nobody' in groups", Ok(false)),
        ("'x' in claims.missing ? true : true", Err(Absent)),
        ("provider == 'okta' ? 'staff' in groups : false", Ok(true)),
        ("provider != 'okta'", Ok(false)),
        ("email.startsWith('ana@') && email.endsWith('.com') && email.contains('@acme')", Ok(true)),
        ("email.matches('^a[a-z]+@acme[.]com$')", Ok(true)),
        ("groups.exists(g, g.startsWith('org-'))", Ok(true)),
        ("groups.all(g, g.startsWith('org-'))", Ok(false)),
        ("claims.empty.all(c, c == 'x') && !claims.empty.exists(c, c == 'x')", Ok(true)),
        ("size(groups) == 2 && claims.department.size() >= 2 && size(email) > 3", Ok(true)),
        ("email_domain in ['acme.com', 'globex.com']", Ok(true)),
        ("cidr('10.0.0.0/8').containsIP(client_ip)", Ok(true)),
        ("cidr('192.168.0.0/16').containsIP(client_ip)", Ok(false)),
        ("client_ip == '10.1.2.3'", Ok(true)),
        ("time < timestamp('2027-01-01T00:00:00Z') && time > timestamp('2025-01-01T00:00:00+01:00')", Ok(true)),
        ("time.getHours() == 19 && time.getMinutes() == 30 && time.getHours('+05:00') == 0", Ok(true)),
        (
            "time.getDayOfWeek() == 2 && time.getFullYear() == 2025 && time.getMonth() == 10 && time.getDate() == 25",
            Ok(true),
        ),
        ("('staff' in groups) == true && ('staff' in groups) != false", Ok(true)),
    ] {
        assert_eq!(holds(text), expected, "{text}");
    }
}

#[test]
fn an_address_that_cannot_be_told_is_in_no_network() {
    let ana = Person::ana();
    let facts = Facts { client: None, email: None, ..ana.facts() };
    for text in
        ["cidr('10.0.0.0/8').containsIP(client_ip)", "!cidr('10.0.0.0/8').containsIP(client_ip)", "email != 'x'"]
    {
        assert_eq!(Condition::parse(text).unwrap().holds(&facts), Err(Absent), "{text}");
    }
    let mapped = Facts { client: Some("::ffff:10.1.2.3".parse().unwrap()), ..ana.facts() };
    assert_eq!(Condition::parse("cidr('10.0.0.0/8').containsIP(client_ip)").unwrap().holds(&mapped), Ok(true));
}

#[test]
fn a_certificate_is_judged_by_what_its_authority_has_vouched_for() {
    let mut params = rcgen::CertificateParams::new(vec!["ana.partners.test".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Acme");
    params.distinguished_name.push(rcgen::DnType::CommonName, "Ana, Lima");
    let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let certificate = ClientCertificate::read(made.der());
    let fingerprint = format!("client_certificate.fingerprint == '{}'", certificate.fingerprint_text());
    let ana = Person::ana();
    let facts = Facts { certificate: Some(&certificate), ..ana.facts() };
    // With one, without one.
    for (text, with, without) in [
        ("client_certificate != null", Ok(true), Ok(false)),
        ("null == client_certificate", Ok(false), Ok(true)),
        ("client_certificate.subject == 'CN=Ana\\\\, Lima,O=Acme'", Ok(true), Err(Absent)),
        ("client_certificate.issuer != client_certificate.subject", Ok(false), Err(Absent)),
        ("client_certificate.common_name == 'Ana, Lima'", Ok(true), Err(Absent)),
        ("client_certificate.organization == 'Acme'", Ok(true), Err(Absent)),
        ("!(client_certificate.organization == 'Globex')", Ok(true), Err(Absent)),
        ("'dns:ana.partners.test' in client_certificate.san", Ok(true), Err(Absent)),
        ("client_certificate.san.exists(n, n.endsWith('.partners.test'))", Ok(true), Err(Absent)),
        ("size(client_certificate.san) == 1", Ok(true), Err(Absent)),
        ("has(client_certificate.issuer) && has(client_certificate.san)", Ok(true), Ok(false)),
        ("client_certificate == null || client_certificate.organization == 'Acme'", Ok(true), Ok(true)),
        ("client_certificate != null && client_certificate.organization == 'Globex'", Ok(false), Ok(false)),
        (fingerprint.as_str(), Ok(true), Err(Absent)),
    ] {
        let condition = Condition::parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"));
        assert!(condition.asks_for_certificate(), "{text}");
        assert_eq!((condition.holds(&facts), condition.holds(&ana.facts())), (with, without), "{text}");
    }
    // One without other names: nothing can be told by them, not even that it has none.
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Acme");
    let nameless = ClientCertificate::read(params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der());
    let facts = Facts { certificate: Some(&nameless), ..ana.facts() };
    for text in [
        "client_certificate.san.all(n, n.endsWith('.acme.com'))",
        "!('dns:guest.acme.com' in client_certificate.san)",
        "size(client_certificate.san) == 0",
    ] {
        assert_eq!(Condition::parse(text).unwrap().holds(&facts), Err(Absent), "{text}");
    }
    assert_eq!(Condition::parse("has(client_certificate.san)").unwrap().holds(&facts), Ok(false));
    for text in ["email == 'client_certificate'", "has(claims.client_certificate)", "time.getHours() > 3"] {
        assert!(!Condition::parse(text).unwrap().asks_for_certificate(), "{text}");
    }
}

#[test]
fn of_somebody_without_groups_nothing_can_be_told_by_groups() {
    let ana = Person::ana();
    let facts = Facts { groups: &[], ..ana.facts() };
    for text in ["'staff' in groups", "!('contractor' in groups)", "groups.all(g, g == 'x')", "size(groups) == 0"] {
        assert_eq!(Condition::parse(text).unwrap().holds(&facts), Err(Absent), "{text}");
    }
    assert_eq!(Condition::parse("'staff' in groups || provider == 'okta'").unwrap().holds(&facts), Ok(true));
}

#[test]
fn what_could_mislead_fail_or_never_end_is_a_mistake() {
    for (text, what) in [
        ("", "is empty"),
        ("   ", "is empty"),
        ("'staff' in", "is not a condition"),
        ("groups", "this is a list of texts, where yes or no is needed"),
        ("claims.vip", "a claim has several values"),
        ("claims.department != 'contractor'", "could mislead"),
        ("groups != ['x']", "not compared in this way"),
        ("email == 1", "not compared in this way"),
        ("email < 'b'", "not compared in this way"),
        ("claims.department[0] == 'support'", "lists have no order"),
        ("claims[email] == 'x'", "the name of a claim is a written text"),
        ("claim.department == 'x'", "only claims and client_certificate have names in them"),
        ("user == 'x'", "\"user\" is not known"),
        ("'a' in email", "this is a text, where a list of texts is needed"),
        ("email.matches('(')", "is no regular expression"),
        ("email.matches(provider)", "has to be a written text"),
        ("email.lowerAscii() == 'x'", "\"lowerAscii\" is not known here"),
        ("1 + 1 == 2", "conditions do not calculate"),
        ("timestamp('tomorrow') > time", "is no time"),
        ("cidr('10.0.0.0') .containsIP(client_ip)", "is no network"),
        ("time.getHours('Europe/Berlin') == 1", "is no offset from UTC"),
        ("{'a': 1}['a'] == 1", "has no meaning here"),
        ("groups.exists(g, groups.exists(h, h == g))", "do not stand in one another"),
        ("groups.exists(g, g in claims.x)", "could take too long"),
        ("null == null", "not compared in this way"),
        ("email == null", "not compared in this way"),
        ("client_certificate.serial == '1'", "client_certificate has no \"serial\""),
        ("client_certificate == 'x'", "not compared in this way"),
        ("client_certificate", "this is a certificate, where yes or no is needed"),
        ("has(client_certificate)", "has() is for claims"),
        ("1.5 > 1.0", "has no meaning here"),
    ] {
        let mistake = Condition::parse(text).map(|_| ()).unwrap_err();
        assert!(mistake.what.contains(what), "{text}: {mistake:?}");
    }
    assert!(Condition::parse(&"(".repeat(10_000)).unwrap_err().what.contains("bytes long"));
    for deep in
        [format!("{}true{}", "(".repeat(500), ")".repeat(500)), "!".repeat(999) + "true", "-".repeat(999) + "1 == 1"]
    {
        assert_eq!(Condition::parse(&deep).unwrap_err().what, "is nested too deeply");
    }
}

#[test]
fn the_place_of_a_mistake_is_told() {
    let mistake = Condition::parse("\"staff\" in groups && user == \"x\"").unwrap_err();
    assert!(mistake.what.starts_with("at character 22: "), "{mistake:?}");
}

/// The same by the crate's own interpreter, which knows no types before it runs: claims are lists of texts for it, too.
fn by_the_crate(text: &str, person: &Person) -> Option<bool> {
    let mut context = Context::default();
    let facts = person.facts();
    let claims: HashMap<String, Value> =
        person.claims.iter().map(|(name, values)| (name.clone(), Value::from(values.clone()))).collect();
    context.add_variable_from_value("claims", Value::from(claims));
    context.add_variable_from_value("groups", Value::from(person.groups.clone()));
    context.add_variable_from_value("email", facts.email.unwrap());
    context.add_variable_from_value("email_domain", facts.email_domain.unwrap());
    context.add_variable_from_value("provider", facts.provider);
    match Program::compile(text).unwrap().execute(&context) {
        Ok(Value::Bool(holds)) => Some(holds),
        Ok(other) => panic!("{text}: {other:?}"),
        Err(_) => None,
    }
}

/// Conditions of the kinds that both know.
fn conditions() -> impl Strategy<Value = String> {
    let texts = prop::sample::select(vec!["groups", "claims.department", "claims.missing", "['staff', email]"]);
    let word = prop::sample::select(vec!["'staff'", "'support'", "''", "'ana@acme.com'", "email", "provider"]);
    let leaf = prop_oneof![
        (word.clone(), texts.clone()).prop_map(|(word, texts)| format!("{word} in {texts}")),
        (word.clone(), word.clone()).prop_map(|(left, right)| format!("{left} == {right}")),
        (word.clone(), word.clone()).prop_map(|(left, right)| format!("{left} != {right}")),
        (word.clone(), word.clone()).prop_map(|(left, right)| format!("{left}.startsWith({right})")),
        (texts.clone(), word.clone()).prop_map(|(texts, word)| format!("{texts}.exists(x, x.contains({word}))")),
        (texts.clone(), word).prop_map(|(texts, word)| format!("{texts}.all(x, x != {word})")),
        texts.prop_map(|texts| format!("size({texts}) > 1")),
        Just("has(claims.missing)".to_owned()),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_crates_interpreter_means_the_same(text in conditions()) {
        let condition = Condition::parse(&text).unwrap();
        let ana = Person::ana();
        // The crate needs a deep stack for its own parser.
        let theirs = std::thread::scope(|scope| {
            let run = || by_the_crate(&text, &ana);
            std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, run).unwrap().join().unwrap()
        });
        prop_assert_eq!(condition.holds(&ana.facts()).ok(), theirs, "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z\"'().\\[\\]{}!?:&|=<>,0-9 \\\\é\u{0}-]{0,60}") {
        let _ = Condition::parse(&text).map(|condition| condition.holds(&Person::ana().facts()));
    }
}
