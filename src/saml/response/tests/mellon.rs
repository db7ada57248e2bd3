//! A second opinion: Apache's `mod_auth_mellon` (on Lasso and libxmlsec1) is asked about the same messages, octet by octet. It
//! has our entity id, our assertion consumer URL and our key, and lives at the moment of the tests. The table in the output
//! tells every difference and why it is one; a difference that nobody has explained fails the test.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};

use super::{messages, verify};
use crate::saml::base64;
use crate::saml::instant;
use crate::saml::names::{DS, MD};
use crate::saml::test_keys::{self, Kind};
use crate::saml::test_signer::{ACS, IDP, NOW, SP};

/// Where Debian has Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

const APACHE: &str = "/usr/sbin/apache2";

/// How long Apache may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// An Apache with `mod_auth_mellon`, which ends with the test.
struct Mellon {
    apache: Child,
    folder: tempfile::TempDir,
    origin: String,
    client: reqwest::Client,
}

impl Drop for Mellon {
    fn drop(&mut self) {
        let _ = self.apache.kill();
        let _ = self.apache.wait();
    }
}

impl Mellon {
    async fn start() -> Self {
        for needed in [&format!("{MODULES}/mod_auth_mellon.so"), APACHE] {
            assert!(Path::new(needed).is_file(), "there is no {needed}: run scripts/install-packages test");
        }
        let folder = tempfile::tempdir().unwrap();
        // Started by root, Apache becomes somebody else before it reads the metadata.
        #[cfg(unix)]
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        write_files(folder.path(), port);
        let config = folder.path().join("apache.conf");
        // One process (-X), so that nothing is left behind.
        let apache = Command::new(APACHE)
            .arg("-X")
            .arg("-f")
            .arg(&config)
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME", format!("@{}", instant::write(NOW).replace('T', " ").trim_end_matches('Z')))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let mut mellon = Self { apache, folder, origin: format!("http://127.0.0.1:{port}"), client };
        mellon.serves().await;
        mellon
    }

    async fn serves(&mut self) {
        let answers = async {
            while self.client.get(&self.origin).send().await.is_err() {
                if let Some(status) = self.apache.try_wait().unwrap() {
                    panic!("Apache ended ({status}): {}", self.log());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, answers).await;
        assert!(answered.is_ok(), "Apache does not serve: {}", self.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    /// What it says of a message: the NameID that it believes, or why it refuses.
    async fn opinion(&self, text: &str) -> Result<String, String> {
        let before = self.log().len();
        // A browser that asked for something before has a cookie that says no more than that.
        let path = url::Url::parse(ACS).unwrap().path().to_owned();
        let answer = self
            .client
            .post(format!("{}{path}", self.origin))
            .header(COOKIE, "mellon-cookie=cookietest")
            .form(&[("SAMLResponse", base64::encode(text.as_bytes()).as_str()), ("RelayState", "/")])
            .send()
            .await
            .unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        if answer.headers().get(LOCATION).is_none_or(|location| location != "/") {
            let log = self.log();
            let said = log[before..].lines().rfind(|line| line.contains(":error]")).unwrap_or_default();
            let said = said.rsplit("] ").next().unwrap_or_default();
            return Err(if said.is_empty() { answer.status().to_string() } else { said.chars().take(120).collect() });
        }
        let cookies = answer.headers().get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
        let cookie = cookies.filter_map(|cookie| cookie.split(';').next()).find(|cookie| cookie.starts_with("mellon-"));
        let get = |path: &str| self.client.get(format!("{}{path}", self.origin)).header(COOKIE, cookie.unwrap());
        let page = get("/").send().await.unwrap();
        // It remembers the IDs of its sessions' assertions, which here are always the same.
        get("/mellon/invalidate?ReturnTo=/").send().await.unwrap();
        let believed =
            page.headers().get("x-name-id").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        match believed {
            Some(name) if page.status() == 200 => Ok(name),
            _ => Err(format!("a session that opens nothing ({})", page.status())),
        }
    }
}

/// The library that tells a process another time; below a folder that is named after the machine's architecture.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).filter(|file| file.is_file());
    found.next().expect("there is no libfaketimeMT.so.1 below /usr/lib: run scripts/install-packages test")
}

/// Its configuration, its keys and the metadata of both sides.
fn write_files(folder: &Path, port: u16) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let ours = test_keys::other(Kind::Rsa2048);
    write("sp.key", &ours.key_pem);
    write("sp.pem", &ours.certificate_pem);
    write(
        "sp.xml",
        &format!(
            r#"<EntityDescriptor xmlns="{MD}" entityID="{SP}"><SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="{ACS}" index="0" isDefault="true"/></SPSSODescriptor></EntityDescriptor>"#
        ),
    );
    let certificate = base64::encode(&test_keys::one(Kind::Rsa2048).certificate);
    write(
        "idp.xml",
        &format!(
            r#"<EntityDescriptor xmlns="{MD}" entityID="{IDP}"><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><KeyDescriptor use="signing"><KeyInfo xmlns="{DS}"><X509Data><X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo></KeyDescriptor><SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/></IDPSSODescriptor></EntityDescriptor>"#
        ),
    );
    std::fs::create_dir(folder.join("www")).unwrap();
    write("www/index.html", "signed in");
    let acs = url::Url::parse(ACS).unwrap();
    let modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "dir", "rewrite", "headers", "auth_mellon"];
    let modules: String = modules.map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n")).concat();
    let folder = folder.display();
    write(
        "apache.conf",
        &format!(
            r#"ServerRoot {folder}
{modules}
Listen 127.0.0.1:{port}
ServerName {origin}:443
UseCanonicalName On
User www-data
Group www-data
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
Mutex file:{folder} default
ErrorLog {folder}/error.log
LogLevel warn
DocumentRoot {folder}/www
RewriteEngine On
RewriteRule ^{path}$ /mellon/postResponse [PT]
<Location />
  MellonEnable auth
  AuthType Mellon
  Require valid-user
  MellonEndpointPath /mellon
  MellonSPMetadataFile {folder}/sp.xml
  MellonSPPrivateKeyFile {folder}/sp.key
  MellonSPCertFile {folder}/sp.pem
  MellonIdPMetadataFile {folder}/idp.xml
  MellonEnabledInvalidateSessionEndpoint On
  Header always set X-Name-Id "expr=%{{reqenv:MELLON_NAME_ID}}"
</Location>
"#,
            origin = acs.origin().ascii_serialization(),
            path = acs.path().replace('.', r"\."),
        ),
    );
}

/// Where the two differ, and why: messages by name.
const DIFFERENCES: &[(&str, &[&str])] = &[
    // It believes more.
    ("it looks at the algorithm of a signature, not at that of the digest", &["a digest of SHA-1 under RSA-SHA256"]),
    (
        "it believes what libxmlsec1 verifies, whatever the shape",
        &["an Object in the signature", "two References, both of them true"],
    ),
    ("it passes over what lies in Extensions", &["evil in Extensions", "Assertion wrapped, shape 5"]),
    ("it does not look whether an ID is there twice", &["two elements with one ID"]),
    ("it reads over an instruction in a value", &["an instruction in the NameID"]),
    ("it wants no Destination", &["no Destination, Response signed"]),
    (
        "it does not hold an answer against the requests that it sent",
        &[
            "answers another request, signed so",
            "the Response answers another request, the Assertion ours",
            "the Response answers nothing",
            "the Assertion answers another request, the Response ours",
        ],
    ),
    ("it does not look at Version", &["SAML 1.1, as it says"]),
    (
        "it takes whatever part of a confirmation is missing for granted",
        &["no recipient", "no confirmation", "a confirmation without an end"],
    ),
    ("it takes an assertion about nobody's sign-in", &["no statement"]),
    ("it takes an assertion about nobody by name", &["an empty NameID"]),
    (
        "it goes by Conditions alone, whenever it was written",
        &["issued a year ago", "issued a year ahead", "a sign-in of tomorrow"],
    ),
    ("it knows minutes of 61 seconds", &["a leap second"]),
    ("it takes no audience for any", &["no audience", "no conditions"]),
    ("it passes over conditions that it does not know", &["an unknown condition"]),
    // It believes less.
    (
        "Lasso refuses canonicalisation with comments, even where there are none",
        &["canonicalisation with comments, and none"],
    ),
    ("Lasso reads no Response with white space between its elements", &["pretty-printed"]),
    ("it chooses the provider by the Response's issuer, which may be left out", &["no issuer of the Response"]),
    (
        "it takes one SubjectConfirmation and no more",
        &["holder of key, then bearer", "bearer, then holder of key", "a bearer for another recipient, then ours"],
    ),
    ("it does not decrypt OAEP with a digest of SHA-256", &["encrypted with OAEP of SHA-256"]),
];

/// Why the two differ; none when nobody knows.
fn explanation(name: &str) -> Option<&'static str> {
    DIFFERENCES.iter().find(|(_, names)| names.contains(&name)).map(|(why, _)| *why)
}

#[tokio::test]
async fn mellon_agrees_or_it_is_known_why_not() {
    let mellon = Mellon::start().await;
    let (mut unexplained, mut agreed, mut differed) = (Vec::new(), 0, 0);
    println!("{:<60} {:<34} {:<60} why", "message", "ours", "mod_auth_mellon");
    for (name, text) in messages::all() {
        let ours = verify(&text).map(|response| response.name_id.value).map_err(|why| why.reason().to_owned());
        let theirs = mellon.opinion(&text).await;
        let same = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => {
                // White space around a name does not survive the header that tells it.
                assert_eq!(ours.trim(), theirs.trim(), "{name}: two identities");
                true
            }
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if same {
            agreed += 1;
            if explanation(&name).is_some() {
                unexplained.push(format!("{name}: they agree by now"));
            }
            continue;
        }
        differed += 1;
        let why = explanation(&name);
        let show = |opinion: &Result<String, String>| match opinion {
            Ok(name) => format!("believes {name}"),
            Err(why) => format!("refuses: {why}"),
        };
        println!("{name:<60} {:<34} {:<60} {}", show(&ours), show(&theirs), why.unwrap_or("?"));
        if why.is_none() {
            unexplained.push(format!("{name}: {ours:?} but {theirs:?}"));
        }
    }
    println!("{agreed} opinions are the same, {differed} differ");
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}
