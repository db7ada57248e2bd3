//! The certificates of the public side: renewed under load, in two kinds side by side, with the suites of the setting.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use crate::harness::{Options, TestGateway, eventually, write_certificate};
use crate::recorder::{Answer, Recorder};

const GET: &[u8] = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_are_served_and_no_connection_notices() {
    let recorder = Recorder::start(Answer::default()).await;
    let mut gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let mut standing = gateway.raw().await;
    assert_eq!(standing.status(GET).await, 200);
    let looks = |result: &str| format!("vestibule_certificate_looks_total{{result=\"{result}\"}}");

    // Something that is no certificate: what was served is served on.
    let good = std::fs::read(gateway.folder.path().join("cert.pem")).unwrap();
    std::fs::write(gateway.folder.path().join("cert.pem"), "nothing").unwrap();
    eventually("the damage is counted", || gateway.metrics().contains(&looks("unusable"))).await;
    assert_eq!(gateway.raw().await.status(GET).await, 200);
    std::fs::write(gateway.folder.path().join("cert.pem"), good).unwrap();

    let before = std::mem::replace(&mut gateway.ca, write_certificate(gateway.folder.path().to_path_buf()));
    eventually("the renewal is counted", || gateway.metrics().contains(&looks("changed"))).await;
    assert_eq!(standing.status(GET).await, 200, "an open connection goes on");
    assert_eq!(gateway.raw().await.status(GET).await, 200, "a new one trusts the new certificate alone");
    let offered = offered(&gateway, rustls::crypto::ring::default_provider(), &gateway.ca).await.unwrap();
    assert!(offered == gateway.ca && offered != before);
    let end = gateway.metrics();
    assert!(end.contains("vestibule_certificate_valid_until_timestamp_seconds{name=\"localhost\"}"), "{end}");
}

/// Fifty renewals while visitors come and go, and while others stay.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_renewals_under_load_fail_no_request() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    let recorder = Recorder::start(Answer::default()).await;
    let gateway = Arc::new(TestGateway::start(Options::plain(recorder.address)).await);
    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    // A visitor's browser trusts an authority, which outlives its certificates: here, whoever is shown.
    let client = |kept: usize| {
        let builder = gateway.client_builder().danger_accept_invalid_certs(true).pool_max_idle_per_host(kept);
        builder.build().unwrap()
    };
    let visitors = [1, 1, 0, 0].map(|kept| {
        let (client, over, served) = (client(kept), Arc::clone(&over), Arc::clone(&served));
        let url = format!("{}/public/x", gateway.origin());
        tokio::spawn(async move {
            let mut failed = Vec::new();
            while !over.load(Ordering::SeqCst) {
                match client.get(&url).send().await {
                    Ok(answer) if answer.status() == 200 => drop(served.fetch_add(1, Ordering::SeqCst)),
                    Ok(answer) => failed.push(answer.status().to_string()),
                    Err(error) => failed.push(format!("{error:?}")),
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            failed
        })
    });
    for renewal in 1..=50 {
        write_certificate(gateway.folder.path().to_path_buf());
        let line = format!("vestibule_certificate_looks_total{{result=\"changed\"}} {renewal}\n");
        eventually("it is served", || gateway.metrics().contains(&line)).await;
    }
    over.store(true, Ordering::SeqCst);
    for visitor in visitors {
        assert_eq!(visitor.await.unwrap(), Vec::<String>::new());
    }
    let served = served.load(Ordering::SeqCst);
    println!("{served} requests while the certificate was renewed fifty times");
    assert!(served > 1_000, "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ecdsa_and_rsa_stand_side_by_side() {
    let recorder = Recorder::start(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let rsa = write_rsa_certificate(folder.path());
    let mut options = Options::plain(recorder.address);
    options.second_certificate = Some((folder.path().join("rsa.pem"), folder.path().join("rsa.key")));
    let gateway = TestGateway::start(options).await;
    let both = rustls::crypto::ring::default_provider();
    assert_eq!(
        offered(&gateway, both, &gateway.ca).await.unwrap(),
        gateway.ca,
        "the first of the file, where both will do"
    );
    let old = with_suites(&[CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]);
    assert_eq!(offered(&gateway, old, &rsa).await.unwrap(), rsa, "whoever knows no ECDSA is served, too");
    let modern = with_suites(&[CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]);
    assert_eq!(offered(&gateway, modern, &gateway.ca).await.unwrap(), gateway.ca);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_suites_of_the_setting_are_spoken() {
    let recorder = Recorder::start(Answer::default()).await;
    let mut options = Options::plain(recorder.address);
    options.tls = ", cipher_suites: [TLS_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]".into();
    let gateway = TestGateway::start(options).await;
    for (suite, spoken) in [
        (CipherSuite::TLS13_AES_256_GCM_SHA384, true),
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, true),
        (CipherSuite::TLS13_AES_128_GCM_SHA256, false),
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false),
    ] {
        assert_eq!(offered(&gateway, with_suites(&[suite]), &gateway.ca).await.is_some(), spoken, "{suite:?}");
    }
    assert_eq!(gateway.raw().await.status(GET).await, 200);
}

fn with_suites(suites: &[CipherSuite]) -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| suites.contains(&suite.suite()));
    provider
}

/// The certificate that a client with `provider` is shown, who trusts `trusted`; nothing where no connection comes about.
async fn offered(
    gateway: &TestGateway,
    provider: CryptoProvider,
    trusted: &CertificateDer<'static>,
) -> Option<CertificateDer<'static>> {
    let versions: Vec<_> = [&rustls::version::TLS12, &rustls::version::TLS13]
        .into_iter()
        .filter(|version| provider.cipher_suites.iter().any(|suite| suite.version() == *version))
        .collect();
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(gateway.app.https_address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.clone())
}

fn write_rsa_certificate(folder: &std::path::Path) -> CertificateDer<'static> {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from(der.as_ref().to_vec());
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    let cert = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("rsa.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("rsa.key"), key.serialize_pem()).unwrap();
    cert.der().clone()
}
