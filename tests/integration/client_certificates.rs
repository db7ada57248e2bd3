//! Certificates that visitors bring: demanded, asked for, revoked; and no way round by another host's connection.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::harness::{Options, TestGateway, eventually};
use crate::recorder::{Answer, Recorder};

/// An authority of visitors.
pub struct VisitorsAuthority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A visitor's certificate and key.
pub struct Brought {
    serial: u64,
    pub cert: CertificateDer<'static>,
    pub pem: String,
    pub key: KeyPair,
}

impl VisitorsAuthority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "Partners");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub fn issue(&self, serial: u64) -> Brought {
        self.issue_to(serial, "Partners")
    }

    /// One for somebody of that organization.
    pub fn issue_to(&self, serial: u64, organization: &str) -> Brought {
        let mut params = CertificateParams::new(vec!["ana.partners.test".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, organization);
        params.serial_number = Some(SerialNumber::from(serial));
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Brought { serial, cert: cert.der().clone(), pem: cert.pem(), key }
    }

    /// What is revoked now.
    pub fn revokes(&self, revoked: &[&Brought]) -> String {
        let at = |day: u8| rcgen::date_time_ymd(2026, 1, day);
        let revoked = revoked.iter().map(|brought| RevokedCertParams {
            serial_number: SerialNumber::from(brought.serial),
            revocation_time: at(2),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: at(1),
            next_update: rcgen::date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// How a visitor speaks TLS who trusts `ca`.
pub fn visitor(ca: &CertificateDer<'static>, brought: Option<&Brought>, alpn: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match brought {
        Some(brought) => {
            let key = PrivateKeyDer::try_from(brought.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(vec![brought.cert.clone()], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

/// The status that a visitor gets who connects for `sni` and asks `host`; 0 where no connection comes about.
async fn asks(gateway: &TestGateway, config: &Arc<ClientConfig>, sni: &str, host: &str) -> u16 {
    let tcp = TcpStream::connect(gateway.app.https_address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
    let Ok(mut stream) = connector.connect(ServerName::try_from(sni.to_owned()).unwrap(), tcp).await else { return 0 };
    let request = format!("GET /public/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    // In TLS 1.3 the refusal of a certificate comes after the handshake, from the client's side.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    crate::harness::status_of(&String::from_utf8_lossy(&answer))
}

/// A gateway for `localhost` and `127.0.0.1`... the second portal demands nothing.
async fn gateway(folder: &Path, more: &str) -> (TestGateway, Recorder) {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.portal.push_str(&format!(
        "  - host: other.test\n    upstream: \"http://{}\"\n    sign_in: {{ providers: [acme] }}\n    customer_session: none\n    \
         rules: [ {{ path: \"/public/**\", access: public }} ]\n",
        recorder.address
    ));
    // The certificate of the second portal.
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["other.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("other.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("other.key"), key.serialize_pem()).unwrap();
    options.second_certificate = Some((folder.join("other.pem"), folder.join("other.key")));
    options.tls = format!(", client_certificates: {{ ca: \"{}\"{more} }}", folder.join("visitors.pem").display());
    (TestGateway::start(options).await, recorder)
}

fn other_ca(folder: &Path) -> CertificateDer<'static> {
    use rustls_pki_types::pem::PemObject as _;
    CertificateDer::from_pem_file(folder.join("other.pem")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_brings_no_good_certificate_gets_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (VisitorsAuthority::new(), VisitorsAuthority::new());
    std::fs::write(folder.path().join("visitors.pem"), &authority.pem).unwrap();
    let (gateway, recorder) = gateway(folder.path(), "").await;
    let (ana, mallory) = (authority.issue(1), stranger.issue(1));
    let status = async |brought: Option<&Brought>| {
        asks(&gateway, &visitor(&gateway.ca, brought, b"http/1.1"), "localhost", "localhost").await
    };
    assert_eq!((status(None).await, status(Some(&mallory)).await), (0, 0));
    assert!(recorder.requests().is_empty());
    assert_eq!(status(Some(&ana)).await, 200);
    // Without `hosts` it holds for every portal, and for whoever names none.
    let other = visitor(&other_ca(folder.path()), None, b"http/1.1");
    assert_eq!(asks(&gateway, &other, "other.test", "other.test").await, 0);
    assert_eq!(asks(&gateway, &visitor(&gateway.ca, None, b"http/1.1"), "127.0.0.1", "localhost").await, 0);

    // The same by curl, with OpenSSL's or GnuTLS's hands.
    std::fs::write(folder.path().join("ana.pem"), format!("{}{}", ana.pem, ana.key.serialize_pem())).unwrap();
    let url = format!("{}/public/x", gateway.origin());
    let curl = async |more: &[&str]| {
        let ca = gateway.folder.path().join("cert.pem");
        let arguments = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", ca.to_str().unwrap()];
        let output = Command::new("curl").args(arguments).args(more).arg(&url).output().await.expect("curl");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(&["--cert", folder.path().join("ana.pem").to_str().unwrap()]).await, "200");
    assert_eq!(curl(&[]).await, "000");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_of_another_host_leads_round_it() {
    let folder = tempfile::tempdir().unwrap();
    let authority = VisitorsAuthority::new();
    std::fs::write(folder.path().join("visitors.pem"), &authority.pem).unwrap();
    let (gateway, recorder) = gateway(folder.path(), ", hosts: [localhost]").await;
    let other = other_ca(folder.path());
    let nobody = visitor(&other, None, b"http/1.1");
    assert_eq!(asks(&gateway, &nobody, "other.test", "other.test").await, 200, "there it is not demanded");
    let before = recorder.requests().len();
    assert_eq!(asks(&gateway, &nobody, "other.test", "localhost").await, 421);
    // What the page of the refusal looks like is all that is told.
    let config = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).cookie_store(true);
    let there = config.resolve("other.test", gateway.app.https_address()).http1_only().build().unwrap();
    let at_other = |path: &str| format!("https://other.test:{}{path}", gateway.app.https_address().port());
    let page = there.get(at_other("/public/x")).header("host", "localhost").header("accept", "text/html");
    let page = page.header("sec-fetch-mode", "navigate").send().await.unwrap();
    assert_eq!(page.status(), 421);
    let page = page.text().await.unwrap();
    let style = page.split("href=\"").find_map(|rest| rest.split('"').next().filter(|path| path.ends_with(".css")));
    let style = there.get(at_other(style.expect("a style sheet"))).header("host", "localhost").send().await.unwrap();
    assert_eq!(style.status(), 200);
    // Nor in HTTP/2, nor by naming no host at all in the handshake, nor with a certificate that was not asked for.
    let ana = authority.issue(1);
    for (ca, brought, sni) in
        [(&other, None, "other.test"), (&other, Some(&ana), "other.test"), (&gateway.ca, None, "127.0.0.1")]
    {
        let tcp = TcpStream::connect(gateway.app.https_address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(visitor(ca, brought, b"h2"));
        let stream = connector.connect(ServerName::try_from(sni).unwrap(), tcp).await.unwrap();
        let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
        let _driver = crate::harness::AbortOnDrop::of(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let request = http::Request::get(format!("{}/public/x", gateway.origin())).body(()).unwrap();
        let (answer, _) = send.send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 421, "{sni}");
    }
    assert_eq!(recorder.requests().len(), before, "nothing of it got through");
    let ana = visitor(&gateway.ca, Some(&ana), b"http/1.1");
    assert_eq!(asks(&gateway, &ana, "localhost", "localhost").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_revoked_while_the_gateway_runs_is_refused_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let authority = VisitorsAuthority::new();
    let (ana, ben) = (authority.issue(1), authority.issue(2));
    let list = folder.path().join("visitors.crl");
    std::fs::write(folder.path().join("visitors.pem"), &authority.pem).unwrap();
    std::fs::write(&list, authority.revokes(&[])).unwrap();
    let (gateway, _recorder) = gateway(folder.path(), &format!(", crls: [\"{}\"]", list.display())).await;
    // The same configurations again and again: they would resume their sessions if they could.
    let (as_ana, as_ben) =
        (visitor(&gateway.ca, Some(&ana), b"http/1.1"), visitor(&gateway.ca, Some(&ben), b"http/1.1"));
    for config in [&as_ana, &as_ben, &as_ana, &as_ben] {
        assert_eq!(asks(&gateway, config, "localhost", "localhost").await, 200);
    }
    std::fs::write(&list, authority.revokes(&[&ana])).unwrap();
    let changed = "vestibule_certificate_looks_total{result=\"changed\"} 1\n";
    eventually("the list is read again", || gateway.metrics().contains(changed)).await;
    assert_eq!(asks(&gateway, &as_ana, "localhost", "localhost").await, 0);
    assert_eq!(asks(&gateway, &as_ben, "localhost", "localhost").await, 200);
    // Half a list: what was read before counts.
    std::fs::write(&list, "-----BEGIN X509 CRL-----\nAAAA").unwrap();
    let unusable = "vestibule_certificate_looks_total{result=\"unusable\"}";
    eventually("the damage is counted", || gateway.metrics().contains(unusable)).await;
    assert_eq!(asks(&gateway, &as_ana, "localhost", "localhost").await, 0);
    assert_eq!(asks(&gateway, &as_ben, "localhost", "localhost").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_only_asked_for_has_to_be_good_where_it_is_brought() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, stranger) = (VisitorsAuthority::new(), VisitorsAuthority::new());
    std::fs::write(folder.path().join("visitors.pem"), &authority.pem).unwrap();
    let (gateway, recorder) = gateway(folder.path(), ", mode: optional").await;
    let (ana, mallory) = (authority.issue(1), stranger.issue(1));
    for (brought, status) in [(None, 200), (Some(&ana), 200), (Some(&mallory), 0)] {
        let config = visitor(&gateway.ca, brought, b"http/1.1");
        assert_eq!(asks(&gateway, &config, "localhost", "localhost").await, status);
    }
    // Nobody behind us learns of it.
    let told = format!("{:?}", recorder.requests());
    assert!(!told.to_lowercase().contains("cert") && !told.contains("partners.test"), "{told}");
}

/// The status that somebody with `session` gets for `/private/partners` by such a connection.
async fn asks_with(gateway: &TestGateway, brought: Option<&Brought>, alpn: &[u8], session: &str) -> u16 {
    let tcp = TcpStream::connect(gateway.app.https_address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(visitor(&gateway.ca, brought, alpn));
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    let cookie = format!("__Host-vestibule={session}");
    if alpn == b"h2" {
        let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
        let _driver = crate::harness::AbortOnDrop::of(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let request = http::Request::get(format!("{}/private/partners", gateway.origin())).header("cookie", cookie);
        let (answer, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
        return answer.await.unwrap().status().as_u16();
    }
    let request =
        format!("GET /private/partners HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    crate::harness::status_of(&String::from_utf8_lossy(&answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_look_at_the_certificate_of_each_requests_own_connection() {
    let folder = tempfile::tempdir().unwrap();
    let authority = VisitorsAuthority::new();
    let ca = folder.path().join("visitors.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.tls = format!(", client_certificates: {{ ca: \"{}\", mode: optional }}", ca.display());
    options.portal.push_str(
        "      - path: \"/private/partners\"\n        access: signed_in\n        \
         require: 'client_certificate.organization == \"Partners\" && client_certificate.issuer == \"CN=Partners\" && \
         \"dns:ana.partners.test\" in client_certificate.san'\n",
    );
    let gateway = TestGateway::start(options).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await; // without a certificate
    let (partner, other) = (authority.issue(1), authority.issue_to(2, "Partners,O=Others"));
    for alpn in [&b"http/1.1"[..], b"h2"] {
        for (brought, status) in [(None, 403), (Some(&partner), 200), (Some(&other), 403), (Some(&partner), 200)] {
            assert_eq!(asks_with(&gateway, brought, alpn, &session).await, status);
        }
    }
    assert_eq!(recorder.requests().len(), 4);
}

/// A browser may ask for a host on a connection that it made for another: where certificates are only asked for, it has to come
/// back on one of its own as well, or it would seem to have none.
#[tokio::test(flavor = "multi_thread")]
async fn where_certificates_are_optional_a_connection_of_another_host_is_misdirected_too() {
    let folder = tempfile::tempdir().unwrap();
    let authority = VisitorsAuthority::new();
    std::fs::write(folder.path().join("visitors.pem"), &authority.pem).unwrap();
    let (gateway, _recorder) = gateway(folder.path(), ", mode: optional, hosts: [localhost]").await;
    let (other, ana) = (other_ca(folder.path()), authority.issue(1));
    for alpn in [&b"http/1.1"[..], b"h2"] {
        for (ca, sni, host, status) in [
            (&other, "other.test", "other.test", 200),
            (&other, "other.test", "localhost", 421),
            (&gateway.ca, "localhost", "localhost", 200),
            (&gateway.ca, "localhost", "other.test", 200),
        ] {
            let config = visitor(ca, Some(&ana), alpn);
            if alpn == b"http/1.1" {
                assert_eq!(asks(&gateway, &config, sni, host).await, status, "{sni} {host}");
                continue;
            }
            let tcp = TcpStream::connect(gateway.app.https_address()).await.unwrap();
            let connector = tokio_rustls::TlsConnector::from(config);
            let stream = connector.connect(ServerName::try_from(sni).unwrap(), tcp).await.unwrap();
            let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
            let _driver = crate::harness::AbortOnDrop::of(tokio::spawn(async move {
                let _ = connection.await;
            }));
            let request = http::Request::get(format!("https://{host}/public/x")).body(()).unwrap();
            let (answer, _) = send.send_request(request, true).unwrap();
            assert_eq!(answer.await.unwrap().status(), status, "{sni} {host}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_tells_the_fingerprint_of_the_certificate() {
    let place = crate::process::Place::new();
    let authority = VisitorsAuthority::new();
    std::fs::write(place.file("visitors.pem"), &authority.pem).unwrap();
    let recorder = Recorder::start(Answer::default()).await;
    let text = place.text("", recorder.address);
    let text = text.replace(
        "key: site.key } ] }",
        "key: site.key } ], client_certificates: { ca: visitors.pem, mode: optional } }",
    );
    place.write(&text);
    let gateway = crate::child::Gateway::start(&place.config(), 1).await.unwrap();
    use rustls_pki_types::pem::PemObject as _;
    let site = CertificateDer::from_pem_file(place.file("site.pem")).unwrap();
    let ana = authority.issue(1);
    for (brought, path) in [(Some(&ana), "/public/with"), (None, "/public/without")] {
        let tcp = TcpStream::connect(place.https).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(visitor(&site, brought, b"http/1.1"));
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
        gateway.wait_for_log(path).await;
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, &ana.cert);
    let fingerprint: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    let records: Vec<serde_json::Value> =
        gateway.log().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |path: &str| records.iter().find(|record| record["path"] == path).unwrap();
    assert_eq!(of("/public/with")["certificate"], fingerprint);
    assert_eq!(of("/public/without").get("certificate"), None);
    // What it says stays out of the log.
    assert!(!gateway.log().iter().any(|line| line.contains("partners.test") || line.contains("O=Partners")));
}
