//! What holds for whole files: the shipped one, the designed one, every mistake of the table, and any text at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;
use zeroize::Zeroizing;

use super::*;
use crate::portal::settings::{Balance, Choose, CustomerSessionSettings, DataCenterLogin, ServiceCredentials};
use crate::secret::Source;
use crate::sign_in::settings::{ClientAuthentication, Protocol};

/// The shipped file.
pub(super) const SHIPPED: &str = include_str!("../../gateway.yaml");

/// A certificate and its key, and nothing that anybody trusts.
static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(vec!["support.acme.com".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
});

/// The certificate of another key.
static OTHER: LazyLock<String> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(vec!["other".to_owned()]).unwrap().cert.pem());

/// A SAML provider's metadata, that of two providers, or that of one with an oddity.
fn metadata() -> [(&'static str, String); 5] {
    let certificate: String = PAIR.0.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = format!(
        r#"<md:KeyDescriptor><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"#
    );
    let entity = |id: &str, attributes: &str, key: &str, scheme: &str| {
        format!(
            r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{id}"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol" {attributes}>{key}<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{scheme}://idp.acme.net/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>"#
        )
    };
    let id = "https://idp.acme.net";
    let two = entity(id, "", &key, "https") + &entity("https://idp.acme.org", "", &key, "https");
    [
        ("certs/idp.xml", entity(id, "", &key, "https")),
        ("certs/idp-http.xml", entity(id, "", &key, "http")),
        ("certs/idp-keyless.xml", entity(id, "", "", "https")),
        ("certs/idp-strict.xml", entity(id, r#"WantAuthnRequestsSigned="true""#, &key, "https")),
        (
            "certs/federation.xml",
            format!(
                r#"<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">{two}</md:EntitiesDescriptor>"#
            ),
        ),
    ]
}

/// An outside world of a few variables and files.
pub(super) struct World {
    variables: BTreeMap<&'static str, String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Default for World {
    /// Everything that the shipped file and the documents name, below `/etc/vestibule`.
    fn default() -> Self {
        let (cert, key) = &*PAIR;
        let variables = [
            ("VESTIBULE_KEY", format!("vk1_{}", "k".repeat(42) + "A")),
            ("VESTIBULE_OLD_KEY", format!("vk1_{}", "o".repeat(42) + "A")),
            ("OKTA_CLIENT_SECRET", "hunter2-okta".to_owned()),
            ("JSM_TOKEN", "hunter2-jsm".to_owned()),
            ("EMPTY", String::new()),
            ("TWO_LINES", "hunter2\nhunter3".to_owned()),
            ("SPACED", "hunter2 hunter3".to_owned()),
        ];
        let files = [
            ("certs/support.acme.com.pem", cert.clone()),
            ("certs/support.acme.com.key", key.clone()),
            ("certs/internal-ca.pem", format!("{cert}{cert}")),
            ("certs/oidc.key", key.clone()),
            ("certs/saml.key", key.clone()),
            ("certs/saml.pem", cert.clone()),
            ("certs/empty.pem", String::new()),
            ("certs/damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()),
            ("certs/odd.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned()),
            ("certs/old.key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n".to_owned()),
            (
                "certs/locked.key",
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_owned(),
            ),
            ("secrets/token", "hunter2-file\n".to_owned()),
        ];
        let base = Path::new("/etc/vestibule");
        let mut files: BTreeMap<_, _> = files.map(|(name, text)| (base.join(name), text.into_bytes())).into();
        let cloud = crate::saml::test_keys::one(crate::saml::test_keys::Kind::Rsa2048);
        files.insert(base.join("certs/cloud.key"), cloud.key_pem.into_bytes());
        files.insert(base.join("certs/cloud.pem"), cloud.certificate_pem.into_bytes());
        files.insert(base.join("secrets/binary"), vec![0xff, 0xfe]);
        files.insert(base.join("certs/other.pem"), OTHER.clone().into_bytes());
        files.extend(metadata().map(|(name, text)| (base.join(name), text.into_bytes())));
        Self { variables: variables.into(), files }
    }
}

impl Environment for World {
    fn variable(&self, name: &str) -> Option<Zeroizing<String>> {
        self.variables.get(name).cloned().map(Zeroizing::new)
    }

    fn read(&self, path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
        let found = self.files.get(path).cloned().map(Zeroizing::new);
        found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

pub(super) fn parsed(text: &str) -> Result<Config, Faults> {
    parse(text, Path::new("/etc/vestibule"), &World::default())
}

#[test]
fn the_shipped_file_loads() {
    let config = parsed(SHIPPED).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.listen.https.port(), 443);
    assert_eq!(config.session.keys[0].source(), &Source::Env("VESTIBULE_KEY".into()));
    assert_eq!(config.tls.certificates[0].cert, Path::new("/etc/vestibule/certs/support.acme.com.pem"));
    let portal = &config.portals[0];
    assert_eq!(portal.public_origin.as_str(), "https://support.acme.com");
    assert_eq!(portal.sign_in.choose, Choose::Single);
    assert_eq!(portal.rules.len(), 1);
    let CustomerSessionSettings::DataCenter(data_center) = &portal.customer_session else { panic!() };
    assert!(
        matches!(&data_center.directory.credentials, ServiceCredentials::Bearer(token) if token.reveal() == "hunter2-jsm")
    );
    assert_eq!(data_center.logins[0], DataCenterLogin::RestSession);
    let Protocol::Oidc(oidc) = &config.providers[0].protocol else { panic!() };
    assert!(matches!(&oidc.client_authentication, ClientAuthentication::SecretBasic(_)));
}

/// Every line of the shipped file that is commented out is a setting that exists, with its default where it has one.
#[test]
fn the_shipped_file_tells_no_lies() {
    let written = parsed(SHIPPED).unwrap();
    // What has no default, or shows something else than it.
    let shows =
        |line: &str| !line.contains("# default:") && !line.contains("key_id:") && !line.contains("private_key_jwt");
    let mut text = String::new();
    let mut parents: Vec<(usize, bool)> = Vec::new();
    for line in SHIPPED.lines() {
        let Some((before, comment)) = line.split_once("# ").filter(|(before, _)| before.trim().is_empty()) else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let (code, _) = comment.split_once("  #").unwrap_or((comment, ""));
        let indent = before.len() + (comment.len() - comment.trim_start().len());
        parents.retain(|(outer, _)| *outer < indent);
        let key = code.trim().split_once(':').filter(|(_, value)| value.is_empty() || value.starts_with(' '));
        let key = key.map(|(key, _)| key).filter(|key| !key.is_empty());
        let setting =
            key.is_some_and(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) && !comment.contains(". ");
        if setting && shows(line) && parents.iter().all(|(_, shown)| *shown) {
            text.push_str(&format!("{}{}\n", " ".repeat(indent), code.trim()));
        }
        if setting {
            parents.push((indent, shows(line)));
        }
    }
    assert!(text.contains("header_bytes: 32KiB") && text.contains("level: info"), "{text}");
    let spelt_out = parsed(&text).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    assert_eq!(format!("{written:?}"), format!("{spelt_out:?}"));
}

/// The default that the schema tells is the one that counts.
#[test]
fn every_default_is_the_one_that_is_told() {
    for text in [SHIPPED.to_owned(), with_saml(), with_cloud()] {
        every_default_of(&text);
    }
}

/// The shipped file with the provider that it shows in a comment.
fn with_saml() -> String {
    let (before, rest) = SHIPPED.split_once("  # globex_adfs:").unwrap();
    let (shown, after) = rest.split_once("\n\n").unwrap();
    format!("{before}  globex_adfs:{}\n\n{after}", shown.replace("\n  # ", "\n  "))
}

fn every_default_of(written: &str) {
    let tree = tree::read(written, &mut Report::default()).unwrap();
    let schema = json_schema();
    let value = structure::check(&tree, &schema, &mut Report::default());
    let mut spelt_out = value.clone();
    let mut count = 0;
    spell_out(&mut spelt_out, &schema, &mut count);
    assert!(count >= 30, "{count}");
    let text = serde_json::to_string(&secrets_as_written(spelt_out)).unwrap();
    let spelt_out = parsed(&text).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(format!("{:?}", parsed(written).unwrap()), format!("{spelt_out:?}"));
}

/// Writes every default of the schema into `value`.
fn spell_out(value: &mut Value, schema: &Value, count: &mut usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| spell_out(item, &schema["items"], count)),
        Value::Object(object) => {
            let Some(properties) = schema["properties"].as_object() else {
                object.values_mut().for_each(|value| spell_out(value, &schema["additionalProperties"], count));
                return;
            };
            let choice = schema.get("x-choice").is_some();
            for (key, schema) in properties {
                if let Some(default) = schema.get("default") {
                    object.entry(key.clone()).or_insert_with(|| {
                        *count += 1;
                        default.clone()
                    });
                }
                let mapping = schema["type"] == "object" && schema.get("x-choice").is_none();
                if mapping && key != "directory" && !choice && schema.get("required").is_none() {
                    object.entry(key.clone()).or_insert_with(|| Value::Object(Default::default()));
                }
            }
            for (key, value) in object {
                if schema["x-secret"].is_null() {
                    spell_out(value, &properties[key], count);
                }
            }
        }
        _ => {}
    }
}

/// `{value: x}` is how `raw` reads a secret, and not how a file writes it.
fn secrets_as_written(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(secrets_as_written).collect(),
        Value::Object(object) => match object.get("value") {
            Some(text) if object.len() == 1 => text.clone(),
            _ => object.into_iter().map(|(key, value)| (key, secrets_as_written(value))).collect(),
        },
        other => other,
    }
}

#[test]
fn port_0_is_filled_in_later() {
    let text = SHIPPED.replace("[::]:443", "127.0.0.1:0");
    let config = parsed(&text).unwrap().listening_on(8443);
    assert_eq!(config.portals[0].public_origin.as_str(), "https://support.acme.com:8443");
    assert_eq!(config.listen.https.port(), 8443);
    let text = text.replace("  # public_port: 443", "  public_port: 443");
    let config = parsed(&text).unwrap().listening_on(8443);
    assert_eq!(config.portals[0].public_origin.as_str(), "https://support.acme.com");
}

#[test]
fn no_secret_is_ever_shown() {
    let text =
        SHIPPED.replace("{ env: JSM_TOKEN }", "hunter2-inline").replace("env: VESTIBULE_KEY", "file: secrets/key");
    let mut world = World::default();
    world.files.insert("/etc/vestibule/secrets/key".into(), world.variables["VESTIBULE_KEY"].clone().into_bytes());
    let config = parse(&text, Path::new("/etc/vestibule"), &world).unwrap_or_else(|faults| panic!("{faults}"));
    for shown in [config.summary(), format!("{config:?}"), format!("{config:#?}")] {
        for secret in ["hunter2", "kkkkkkkkkk"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let summary = config.summary();
    for source in
        ["from the file secrets/key", "from the environment variable OKTA_CLIENT_SECRET", "written in the file"]
    {
        assert!(summary.contains(source), "{summary}");
    }
}

#[test]
fn faults_quote_no_secret() {
    let secrets = [
        "keys: [hunter2]",
        "keys: hunter2",
        "keys: {hunter2: hunter2}",
        "keys: [{hunter2}]",
        "keys: [[hunter2]]",
        "keys: [\"hun\\u0000hunter2\"]",
        "keys: [{value: hunter2}]",
        "keys: [{env: TWO_LINES}, {env: SPACED}, {file: secrets/token}]",
    ];
    for keys in secrets {
        let faults = parsed(&SHIPPED.replace("keys:\n  - env: VESTIBULE_KEY", keys)).unwrap_err();
        assert!(!faults.to_string().contains("hunter2"), "{faults}");
    }
    for token in
        ["{ hunter2: x }", "[hunter2]", "\"hunter2\\n hunter2\"", "hunter2 hunter2", "${hunter2}", "!hunter2x hunter2"]
    {
        let text = SHIPPED.replace("{ env: JSM_TOKEN }", token);
        let faults = parsed(&text).unwrap_err();
        assert!(!faults.to_string().contains("hunter2"), "{faults}");
    }
}

#[test]
fn an_anchor_stands_for_what_it_marks() {
    let text = SHIPPED
        .replace("client_secret: { env: OKTA_CLIENT_SECRET }", "client_secret: &shared { env: OKTA_CLIENT_SECRET }")
        .replace("token: { env: JSM_TOKEN }", "token: *shared");
    let config = parsed(&text).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(config.summary().contains("personal access token, from the environment variable OKTA_CLIENT_SECRET"));
}

/// The whole design: what is in this version is understood, and the rest is refused by name.
#[test]
fn the_designed_file_names_what_is_not_built() {
    let faults = parsed(include_str!("tests/designed.yaml")).unwrap_err();
    let lines: Vec<String> = faults.as_slice().iter().map(|fault| format!("{}: {}", fault.path, fault.what)).collect();
    let expected = [
        "identity_providers.github.oauth2: oauth2",
        "portals[0].second_factor: second_factor",
        "telemetry.audit: audit",
        "telemetry.traces: traces",
    ]
    .map(|line| format!("{line} is not available in this version"));
    let mut expected = expected.to_vec();
    expected.insert(
        1,
        "portals[0].sign_in.choose: by_email never leads to \"github\", which lists no email_domains".into(),
    );
    for (index, key) in ["certificate", "signing_key", "site_acs", "site_entity_id"].into_iter().enumerate() {
        let what = if index < 2 { "is missing" } else { "is missing: answers go to the site alone" };
        expected.insert(2 + index, format!("portals[0].customer_session.cloud_saml.{key}: {what}"));
    }
    assert_eq!(lines, expected);
}

/// What the shipped file does not show.
#[test]
fn cloud_is_understood() {
    let config = parsed(&with_cloud()).unwrap_or_else(|faults| panic!("{faults}"));
    let CustomerSessionSettings::CloudSaml(cloud) = &config.portals[0].customer_session else { panic!() };
    let directory = &cloud.site.accounts.directory;
    let api = "https://api.atlassian.com/ex/jira/11223344-a1b2-3b33-c444-def123456789";
    assert_eq!(directory.api_url.as_ref().unwrap().as_str(), api);
    assert_eq!(cloud.identity_provider.keys.len(), 2);
    assert_eq!(cloud.identity_provider.site.entity_id, "https://auth.atlassian.com/saml/1");
    let summary = config.summary();
    assert!(summary.contains("cloud_saml, user bot@acme.com") && summary.contains(api), "{summary}");
}

/// The shipped file, with Cloud in place of Data Center.
fn with_cloud() -> String {
    let (before, rest) = SHIPPED.split_once("      datacenter:\n").unwrap();
    let (_, after) = rest.split_once("    directory:\n").unwrap();
    let key = "{ file: certs/cloud.key }, certificate: { file: certs/cloud.pem }";
    let cloud = format!(
        "      cloud_saml: {{ signing_key: {key}, more_keys: [{{ key: {key} }}], \
         site_entity_id: \"https://auth.atlassian.com/saml/1\", site_acs: \"https://auth.atlassian.com/acs\" }}\n"
    );
    let directory = "    directory:\n      cloud_id: 11223344-a1b2-3b33-c444-def123456789\n";
    format!("{before}{cloud}{directory}{after}")
        .replace("      site_token:\n", "      site_token:\n        user: bot@acme.com\n")
}

#[test]
fn all_faults_are_told_in_one_run() {
    let text = super::mistakes::BASE
        .replace("version: 1\n", "version: 3\n")
        .replace("https: \"[::]:443\"", "htps: \"[::]:443\"")
        .replace("env: VESTIBULE_KEY", "env: NOT_SET")
        .replace("https://acme.okta.com\n", "http://acme.okta.com\n")
        .replace("providers: [okta, staff]", "providers: [okta, okta-eu]")
        .replace("access: public", "access: publc")
        .replace("path: \"/rest/**\"", "path: \"rest/**\"");
    let faults = parsed(&text).unwrap_err().to_string();
    let expected = "\
gateway.yaml:1:10: version: 3 is not known (write 1)
gateway.yaml:3:3: listen.htps: there is no such setting (did you mean \"https\"?)
gateway.yaml:13:12: keys[0].env: the environment variable NOT_SET is not set (set it for the gateway's process, as in NOT_SET=... vestibule run)
gateway.yaml:26:15: identity_providers.okta.oidc.issuer: plain http is for this machine only: localhost, 127.0.0.1 or [::1] (use https)
gateway.yaml:44:25: portals[0].sign_in.providers[1]: no provider is named \"okta-eu\" (known: okta, staff)
gateway.yaml:67:56: portals[0].rules[0].access: \"publc\" is not known here (did you mean \"public\"? known: public, signed_in, deny)
gateway.yaml:68:17: portals[0].rules[1].path: a path pattern starts with \"/\" (such as \"/servicedesk/customer/kb/**\")";
    assert_eq!(faults, expected);
}

#[test]
fn a_file_is_named_as_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.yaml");
    let fault = load(&path, &ProcessEnvironment).unwrap_err().to_string();
    assert_eq!(fault, format!("{}: cannot be read: there is no such file", path.display()));
    std::fs::write(&path, "version: 1\nlisten").unwrap();
    let faults = load(&path, &ProcessEnvironment).unwrap_err().to_string();
    assert!(faults.starts_with(&format!("{}:", path.display())), "{faults}");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    let fault = load(&path, &ProcessEnvironment).unwrap_err().to_string();
    assert_eq!(fault, format!("{}: is not UTF-8 text", path.display()));
}

#[test]
fn every_setting_has_a_description() {
    fn walk(path: &str, schema: &Value) {
        for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            assert!(schema["description"].as_str().is_some_and(|text| text.len() > 10), "{path}");
            walk(&path, schema);
            walk(&path, &schema["items"]);
            walk(&path, &schema["additionalProperties"]);
        }
    }
    walk("", &json_schema());
}

/// A text like the shipped file, with a few pieces cut, doubled or exchanged.
fn mutated() -> impl Strategy<Value = String> {
    let pieces = [
        "", "\n", "  ", "- ", ": ", "{", "}", "[", "]", "\"", "'", "&a ", "*a", "|", ">", "#", "~", "\t", "!!x ", "ß",
        "\u{202e}", "0", "-1", "true", "null", "---\n", "? ", "<<: ",
    ];
    let edit = (0..SHIPPED.len(), 0..40_usize, proptest::sample::select(pieces.to_vec()));
    proptest::collection::vec(edit, 1..6).prop_map(|edits| {
        let mut text = SHIPPED.to_owned();
        for (at, length, piece) in edits {
            let start = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let end = (start + length..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            text.replace_range(start..end, piece);
        }
        text
    })
}

fn sound(text: &str) {
    match parsed(text) {
        Ok(config) => assert!(!config.summary().contains("hunter2")),
        Err(faults) => {
            assert!(!faults.as_slice().is_empty());
            let told = faults.to_string();
            assert!(!told.contains("could not be named") && !told.contains("form that was expected"), "{told}\n{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        sound(&text);
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(text in "([ a-c:\\-\\[\\]{},\"'&*|>#!?~%@\n\t]|version: 1\n|listen:\n){0,60}") {
        sound(&text);
    }

    #[test]
    fn a_mutated_file_is_read_or_refused(text in mutated()) {
        sound(&text);
    }

    /// Every setting in turn is replaced by a value of another kind.
    #[test]
    fn a_value_of_another_kind_is_refused(choice: proptest::sample::Index, value in proptest::sample::select(vec!["", "[]", "{}", "[x]", "{x: y}", "x", "7", "true", "~"])) {
        let tree = tree::read(SHIPPED, &mut Report::default()).unwrap();
        let mut value_of = structure::check(&tree, &json_schema(), &mut Report::default());
        let mut paths = Vec::new();
        pointers(&value_of, String::new(), &mut paths);
        let path = choice.get(&paths).clone();
        *value_of.pointer_mut(&path).unwrap() = "REPLACED".into();
        let text = serde_json::to_string(&secrets_as_written(value_of)).unwrap().replace("\"REPLACED\"", value);
        sound(&text);
    }
}

fn pointers(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, format!("{path}/{index}"), paths));
        }
        Value::Object(object) => object.iter().for_each(|(key, value)| pointers(value, format!("{path}/{key}"), paths)),
        _ => {}
    }
    paths.push(path);
}

#[test]
fn certificates_are_ordered_for_names_alone() {
    let files = "  certificates:\n    - { cert: certs/support.acme.com.pem, key: certs/support.acme.com.key }\n";
    let acme = "  acme: { directory: \"https://acme.example/dir\", agree_to_terms: true }\n";
    let by_name = mistakes::BASE.replace(files, acme);
    let tls = parsed(&by_name).unwrap_or_else(|faults| panic!("{faults}")).tls;
    assert_eq!(tls.acme.unwrap().challenges.len(), 2, "there is listen.http");
    let by_address = by_name.replace("host: support.acme.com", "host: 192.0.2.7");
    let told = parsed(&by_address).unwrap_err().to_string();
    assert!(told.contains("192.0.2.7 is an address, and tls.acme orders certificates for names alone"), "{told}");
    let with_files =
        mistakes::BASE.replace(files, &format!("{files}{acme}")).replace("host: support.acme.com", "host: 192.0.2.7");
    assert!(parsed(&with_files).is_ok(), "a file may cover it");
}

#[test]
fn an_upstream_may_have_several_addresses() {
    let with = |upstream: &str| {
        let text = super::mistakes::BASE.replace("upstream: http://127.0.0.1:8080", &format!("upstream: {upstream}"));
        parsed(&text).unwrap_or_else(|faults| panic!("{faults}"))
    };
    let of = |config: &Config| config.portals[1].upstream.clone();
    assert_eq!(of(&with("{ url: \"http://127.0.0.1:8080\" }")), of(&with("http://127.0.0.1:8080")));
    let whole = with(
        "{ url: \"https://jira.internal/jira\", addresses: [\"node1.internal:8443\", \"https://10.0.0.12\", \"[::1]:8443\", \"http://localhost:8080\"], \
         health_check: { path: \"/jira/status?x=1\", status: [200, 204], text: RUNNING }, connections: { per_address: 200 } }",
    );
    let upstream = of(&whole);
    let shown: Vec<String> = upstream.addresses().iter().map(ToString::to_string).collect();
    let expected =
        ["https://node1.internal:8443", "https://10.0.0.12:443", "https://[::1]:8443", "http://localhost:8080"];
    assert_eq!(shown, expected);
    assert_eq!((upstream.nodes.balance, upstream.has_nodes()), (Balance::Person, true));
    let summary = whole.summary();
    for line in [
        "  addresses       https://node1.internal:8443, https://10.0.0.12:443, https://[::1]:8443, http://localhost:8080\n",
        "  balance         person: one address for each person\n",
        "  checked by      /jira/status?x=1 every 5s: 200, 204 and \"RUNNING\"\n",
        "  connections     200 for each address; others wait 5s at most\n",
    ] {
        assert!(summary.contains(line), "{line} in {summary}");
    }
    let active = of(&with("{ url: \"http://localhost:8080\", addresses: [\"localhost:8081\"], balance: in_order }"));
    assert_eq!((active.nodes.balance, active.has_nodes()), (Balance::InOrder, true));
}
