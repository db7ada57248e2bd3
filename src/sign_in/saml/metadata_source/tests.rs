//! A74: metadata that changes, ends, goes away and is tampered with, at a server and in a file.

use std::sync::Mutex as PlainMutex;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State as Extracted;
use axum::http::{HeaderMap, Response};
use axum::routing::get;

use super::*;
use crate::http_client::{HttpClientSettings, Roots};
use crate::saml::metadata::{Binding, Endpoint, IdentityProvider, MetadataRefused, Validity};
use crate::saml::test_keys::{self, Kind, Made};

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

/// A server of metadata, and what it answers.
struct Peer {
    url: Url,
    answer: PlainMutex<(u16, String, Option<&'static str>)>,
    asked: AtomicU32,
    unchanged: AtomicU32,
}

impl Peer {
    async fn start() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/metadata?secret=1", listener.local_addr().unwrap()).parse().unwrap();
        let answer = PlainMutex::new((200, described(&[Kind::P256], Validity::default()), None));
        let peer = Arc::new(Self { url, answer, asked: AtomicU32::new(0), unchanged: AtomicU32::new(0) });
        let router = Router::new().route("/metadata", get(Self::answer)).with_state(Arc::clone(&peer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        peer
    }

    async fn answer(Extracted(peer): Extracted<Arc<Self>>, headers: HeaderMap) -> Response<Body> {
        peer.asked.fetch_add(1, Ordering::SeqCst);
        let (status, body, etag) = peer.answer.lock().unwrap().clone();
        if etag.is_some_and(|etag| headers.get("if-none-match").is_some_and(|asked| asked == etag)) {
            peer.unchanged.fetch_add(1, Ordering::SeqCst);
            return Response::builder().status(304).body(Body::empty()).unwrap();
        }
        let mut response = Response::builder().status(status).header("location", "/elsewhere");
        if let Some(etag) = etag {
            response = response.header("etag", etag);
        }
        response.body(Body::from(body)).unwrap()
    }

    fn answers(&self, status: u16, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, body.into(), None);
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    fn source(&self, clock: &Clock) -> MetadataSource {
        source(MetadataFrom::Url(self.url.clone()), &[], None, clock)
    }
}

fn source(from: MetadataFrom, signed_by: &[Made], entity_id: Option<&str>, clock: &Clock) -> MetadataSource {
    let settings = MetadataSettings {
        from,
        signed_by: signed_by.iter().map(|made| made.certificate.clone()).collect(),
        entity_id: entity_id.map(str::to_owned),
        refresh: HOUR,
    };
    let http = HttpClient::new(HttpClientSettings { roots: Roots::Only(Vec::new()), ..Default::default() }).unwrap();
    MetadataSource::new(settings, http, clock.clone()).unwrap()
}

fn provider(kinds: &[Kind], validity: Validity) -> IdentityProvider {
    IdentityProvider {
        entity_id: "https://idp.example".into(),
        signing_certificates: kinds.iter().map(|kind| test_keys::one(*kind).certificate).collect(),
        sign_on: vec![Endpoint {
            binding: Binding::Redirect,
            location: "https://idp.example/sso".into(),
            response_location: None,
        }],
        logout: Vec::new(),
        wants_signed_requests: false,
        name_id_formats: Vec::new(),
        validity,
    }
}

fn described(kinds: &[Kind], validity: Validity) -> String {
    provider(kinds, validity).to_document("_unsigned", None).unwrap()
}

fn until(seconds: u64) -> Validity {
    Validity { valid_until: Some(NOW.after(Duration::from_secs(seconds))), cache_duration: None }
}

async fn keys(source: &MetadataSource) -> usize {
    source.current().await.unwrap().keys.count()
}

async fn reason(source: &MetadataSource) -> &'static str {
    source.current().await.unwrap_err().reason()
}

#[tokio::test]
async fn many_need_it_and_one_reads_it() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let source = Arc::new(peer.source(&clock));
    for (status, good) in [(200, true), (503, false)] {
        peer.answer.lock().unwrap().0 = status;
        if !good {
            clock.advance(WITHOUT_WORD);
        }
        let before = peer.asked();
        let all: Vec<_> = (0..50)
            .map(|_| {
                let source = Arc::clone(&source);
                tokio::spawn(async move { source.current().await.is_ok() })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap(), good);
        }
        assert_eq!(peer.asked() - before, 1, "status {status}");
    }
}

#[tokio::test]
async fn a74_both_keys_of_a_rollover_are_believed_and_a_withdrawn_one_is_not() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let source = peer.source(&clock);
    let certificates = async || source.current().await.unwrap().description.signing_certificates.clone();
    let of = |kind| test_keys::one(kind).certificate;
    assert_eq!(certificates().await, [of(Kind::P256)]);
    for kinds in [&[Kind::P256, Kind::Rsa2048][..], &[Kind::Rsa2048]] {
        peer.answers(200, described(kinds, Validity::default()));
        clock.advance(HOUR);
        source.look_when_due().await;
        assert_eq!(certificates().await, kinds.iter().map(|kind| of(*kind)).collect::<Vec<_>>());
        assert_eq!(keys(&source).await, kinds.len());
    }
}

#[tokio::test]
async fn a74_the_last_good_one_is_kept_while_looks_fail_but_not_past_its_end() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let source = peer.source(&clock);
    peer.answers(200, described(&[Kind::P256, Kind::Rsa2048], until(10 * 3_600)));
    assert_eq!(keys(&source).await, 2);
    for (status, body) in [
        (500, String::new()),
        (404, String::new()),
        (302, String::new()),
        (200, "<html/>".to_owned()),
        (304, String::new()),
    ] {
        peer.answers(status, body);
        clock.advance(HOUR);
        source.look_when_due().await;
        assert!(source.state.load().failed.is_some(), "{status}");
        assert_eq!(keys(&source).await, 2, "{status}");
    }
    clock.advance(5 * HOUR - Duration::from_millis(1));
    assert_eq!(keys(&source).await, 2);
    clock.advance(Duration::from_millis(1));
    assert!(source.current().await.is_err(), "its end is exact");
    peer.answers(200, described(&[Kind::P256], until(20 * 3_600)));
    clock.advance(AFTER_FAILURE);
    assert_eq!(keys(&source).await, 1);
}

#[tokio::test]
async fn a74_metadata_without_an_end_is_not_used_for_ever_without_word_from_its_place() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let source = peer.source(&clock);
    assert_eq!(keys(&source).await, 1);
    peer.answers(503, "");
    clock.advance(WITHOUT_WORD - Duration::from_millis(1));
    assert_eq!(keys(&source).await, 1);
    clock.advance(Duration::from_millis(1));
    assert_eq!(reason(&source).await, "saml_metadata_unreachable");
}

#[tokio::test]
async fn a74_looks_keep_to_what_the_metadata_says_and_come_a_little_early_by_chance() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    for (validity, seconds) in [
        (Validity::default(), 3_600),
        (Validity { cache_duration: Some(Duration::from_secs(600)), ..Validity::default() }, 600),
        (Validity { cache_duration: Some(Duration::MAX), ..Validity::default() }, 86_400),
        (until(1_000), 500),
    ] {
        peer.answers(200, described(&[Kind::P256], validity));
        let mut waits = Vec::new();
        for _ in 0..20 {
            let source = peer.source(&clock);
            source.current().await.unwrap();
            waits.push(source.state.load().next_look.since(NOW).as_millis());
        }
        assert!(waits.iter().all(|wait| (seconds * 900..=seconds * 1_000).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    }
}

#[tokio::test]
async fn failed_looks_are_repeated_ever_more_slowly_and_faster_as_the_end_comes_near() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let source = peer.source(&clock);
    peer.answers(500, "");
    let mut waits = Vec::new();
    for _ in 0..8 {
        source.look_when_due().await;
        let wait = source.state.load().next_look.since(clock.now());
        waits.push(wait.as_secs());
        clock.advance(wait);
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
    assert_eq!(peer.asked(), 8);
    peer.answers(200, described(&[Kind::P256], Validity { valid_until: Some(clock.now().after(HOUR)), ..until(0) }));
    source.look_when_due().await;
    peer.answers(500, "");
    clock.advance(HOUR - Duration::from_secs(100));
    for _ in 0..2 {
        let _ = source.look(source.looking.lock().await).await;
    }
    assert_eq!(source.state.load().next_look.since(clock.now()), Duration::from_secs(50), "half of what is left");
}

#[tokio::test]
async fn an_unchanged_document_is_neither_sent_nor_read_again() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let source = peer.source(&clock);
    peer.answer.lock().unwrap().2 = Some("\"1\"");
    let before = source.current().await.unwrap();
    clock.advance(HOUR);
    source.look_when_due().await;
    assert_eq!(peer.unchanged.load(Ordering::SeqCst), 1);
    assert!(Arc::ptr_eq(&before, &source.current().await.unwrap()));
    assert!(source.state.load().next_look > clock.now());
    // What is over is asked for without a condition: "unchanged" would be of no use.
    clock.advance(WITHOUT_WORD);
    peer.answer.lock().unwrap().2 = Some("\"2\"");
    assert!(source.current().await.is_ok());
    assert_eq!(peer.unchanged.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a74_a_demanded_signature_is_demanded_at_every_look() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let [ours, foreign] = [test_keys::one(Kind::Rsa2048), test_keys::other(Kind::Rsa2048)];
    let source = source(MetadataFrom::Url(peer.url.clone()), std::slice::from_ref(&ours), None, &clock);
    let evil = provider(&[Kind::P384], Validity::default());
    let good = provider(&[Kind::P256], Validity::default());
    peer.answers(200, good.to_document("_1", None).unwrap());
    assert_eq!(reason(&source).await, "saml_metadata_signature");
    peer.answers(200, good.to_document("_1", Some(&ours.signing_key())).unwrap());
    clock.advance(AFTER_FAILURE);
    let known = source.current().await.unwrap();
    for bad in [evil.to_document("_1", None).unwrap(), evil.to_document("_1", Some(&foreign.signing_key())).unwrap()] {
        peer.answers(200, bad);
        clock.advance(HOUR);
        source.look_when_due().await;
        let failed = source.state.load().failed.clone().unwrap();
        assert_eq!(failed.fault.reason(), "saml_metadata_signature");
        assert!(Arc::ptr_eq(&known, &source.current().await.unwrap()), "the last good one is kept");
    }
    let nobody = MetadataSettings {
        from: MetadataFrom::Url(peer.url.clone()),
        signed_by: vec![b"no certificate".to_vec()],
        entity_id: None,
        refresh: HOUR,
    };
    let http = HttpClient::new(HttpClientSettings { roots: Roots::Only(Vec::new()), ..Default::default() }).unwrap();
    assert!(MetadataSource::new(nobody, http, clock).is_err(), "a demand that nothing can meet is no demand");
}

#[tokio::test]
async fn a74_another_entity_does_not_take_the_place_of_the_first() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let source = peer.source(&clock);
    let known = source.current().await.unwrap();
    let other =
        IdentityProvider { entity_id: "https://evil.example".into(), ..provider(&[Kind::P384], Validity::default()) };
    peer.answers(200, other.to_document("_1", None).unwrap());
    clock.advance(HOUR);
    source.look_when_due().await;
    assert_eq!(source.state.load().failed.as_ref().unwrap().fault.reason(), "saml_metadata_entity_changed");
    assert!(Arc::ptr_eq(&known, &source.current().await.unwrap()));
}

#[tokio::test]
async fn a74_what_is_no_metadata_is_told_by_name() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let keyless = described(&[], Validity::default());
    let plain = described(&[Kind::P256], Validity::default()).replace("https://idp.example/sso", "http://idp.example/");
    let past = Validity { valid_until: Some(NOW), cache_duration: None };
    for (status, body, reason) in [
        (200, "{}".to_owned(), "saml_metadata_refused"),
        (200, keyless, "saml_metadata_no_usable_key"),
        (200, plain, "saml_metadata_refused"),
        (200, described(&[Kind::P256], past), "saml_metadata_expired"),
        (301, String::new(), "saml_metadata_unreachable"),
        (404, String::new(), "saml_metadata_unreachable"),
        (500, String::new(), "saml_metadata_unreachable"),
        (304, String::new(), "saml_metadata_refused"),
    ] {
        peer.answers(status, body);
        let fault = peer.source(&clock).current().await.unwrap_err();
        assert_eq!(fault.reason(), reason, "{status}: {fault}");
        assert!(MetadataFault::REASONS.contains(&fault.reason()));
    }
    assert_eq!(peer.asked(), 8, "a redirect is not followed");
    let elsewhere = MetadataFrom::Url("http://idp.example/metadata".parse().unwrap());
    assert_eq!(reason(&source(elsewhere, &[], None, &clock)).await, "saml_metadata_refused");
}

#[tokio::test]
async fn a74_metadata_from_elsewhere_sends_nobody_to_this_machine() {
    let trust = |elsewhere| Trust::new(&[], None, elsewhere).unwrap();
    let text = described(&[Kind::P256], Validity::default()).replace("https://idp.example/sso", "http://127.0.0.1/sso");
    assert!(trust(false).read(text.as_bytes(), None, NOW).is_ok());
    let refused = trust(true).read(text.as_bytes(), None, NOW).unwrap_err();
    assert_eq!(refused, MetadataFault::PointsHere("SingleSignOnService"));
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    assert!(!peer.source(&clock).origin.is_elsewhere());
    let url = MetadataFrom::Url("https://idp.example/metadata".parse().unwrap());
    assert!(source(url, &[], None, &clock).origin.is_elsewhere());
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes_and_kept_when_it_is_gone() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let path = folder.path().join("idp.xml");
    let source = source(MetadataFrom::File(path.clone()), &[], None, &clock);
    assert_eq!(reason(&source).await, "saml_metadata_unreachable");
    std::fs::write(&path, described(&[Kind::P256], until(86_400))).unwrap();
    clock.advance(AFTER_FAILURE);
    let first = source.current().await.unwrap();
    clock.advance(FILE_LOOK);
    source.look_when_due().await;
    assert!(Arc::ptr_eq(&first, &source.current().await.unwrap()), "not read again");
    // By a rename, as configuration management does it, and of the same length.
    let next = folder.path().join("next.xml");
    std::fs::write(&next, described(&[Kind::P384, Kind::P256], until(86_400))).unwrap();
    std::fs::rename(&next, &path).unwrap();
    clock.advance(FILE_LOOK);
    source.look_when_due().await;
    assert_eq!(keys(&source).await, 2);
    std::fs::remove_file(&path).unwrap();
    clock.advance(FILE_LOOK);
    source.look_when_due().await;
    assert_eq!(keys(&source).await, 2, "kept");
    clock.advance(Duration::from_secs(86_400));
    assert!(source.current().await.is_err(), "but not past its end");
}

#[tokio::test]
async fn one_of_many_entities_is_picked_by_its_id() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(NOW));
    let path = folder.path().join("federation.xml");
    let member = |id: &str| {
        let one = IdentityProvider { entity_id: id.into(), ..provider(&[Kind::P256], Validity::default()) };
        one.to_document("_1", None).unwrap().split_once('\n').unwrap().1.to_owned()
    };
    let group = format!(
        "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">{}{}</md:EntitiesDescriptor>",
        member("a"),
        member("b")
    );
    std::fs::write(&path, group).unwrap();
    let from = MetadataFrom::File(path);
    assert_eq!(source(from.clone(), &[], Some("b"), &clock).current().await.unwrap().description.entity_id, "b");
    let unnamed = source(from, &[], None, &clock).current().await.unwrap_err();
    assert_eq!(unnamed, MetadataFault::Refused(MetadataRefused::SeveralEntities(2)));
}

#[derive(Debug, Default)]
struct Notes(PlainMutex<Vec<MetadataEvent>>);

impl MetadataObserver for Notes {
    fn note(&self, event: &MetadataEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

#[tokio::test]
async fn the_background_looks_by_itself_and_tells() {
    let (peer, clock) = (Peer::start().await, Clock::manual(NOW));
    let (source, notes) = (Arc::new(peer.source(&clock)), Arc::new(Notes::default()));
    source.watch(notes.clone());
    let background = tokio::spawn(Arc::clone(&source).keep_fresh());
    let noted = async |count: usize| {
        while notes.0.lock().unwrap().len() < count {
            tokio::task::yield_now().await;
        }
        notes.0.lock().unwrap().last().cloned().unwrap()
    };
    assert_eq!(noted(1).await, MetadataEvent::Good { at: NOW, new: true, valid_until: None });
    background.abort();
    peer.answers(500, "");
    clock.advance(HOUR);
    let background = tokio::spawn(Arc::clone(&source).keep_fresh());
    assert!(matches!(noted(2).await, MetadataEvent::Failed(MetadataFault::Unreachable(_))));
    background.abort();
    let shown = source.origin.to_string();
    assert!(shown.ends_with("/metadata") && !shown.contains("secret"), "{shown}");
}
