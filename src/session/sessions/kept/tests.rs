use std::sync::Arc;
use std::time::Duration;

use super::super::super::settings::{SessionSettings, StoreSettings};
use super::super::super::store::memory::MemoryStore;
use super::super::super::store::{SessionStore, StoreError};
use super::*;
use crate::clock::Clock;
use crate::random::Random;
use crate::sign_in::VerifiedIdentity;

const LIMITS: KeptFormLimits = KeptFormLimits {
    size: 1 << 20,
    kept_for: Duration::from_secs(1800),
    forms_of_one_browser: 16,
    calls_of_one_browser: 4,
    of_one_person: 32 << 20,
    from_one_address: 32 << 20,
    of_one_portal: 128 << 20,
};
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    sessions: Sessions,
    store: Arc<MemoryStore>,
    clock: Clock,
    portal: HostName,
}

fn world() -> World {
    let store = Arc::new(MemoryStore::default());
    let clock = Clock::manual(Timestamp::from_seconds(1_000_000));
    let sessions = sessions(&store, &["a"], &clock);
    World { sessions, store, clock, portal: HostName::parse("support.acme.com").unwrap() }
}

fn sessions(store: &Arc<MemoryStore>, keys: &[&str], clock: &Clock) -> Sessions {
    let settings = SessionSettings {
        idle_timeout: HOUR,
        absolute_timeout: HOUR,
        cache_entries: 10,
        store: StoreSettings::Embedded { path: "/nowhere".into() },
        keys: keys.iter().map(|key| Secret::generated(key.repeat(43))).collect(),
    };
    let store: Arc<dyn SessionStore> = Arc::clone(store) as _;
    Sessions::with_store(&settings, store, clock.clone(), Random::default()).unwrap()
}

fn person(subject: &str) -> VerifiedIdentity {
    VerifiedIdentity::for_test("okta", subject, "ana@acme.com")
}

impl World {
    fn browser_of(&self, who: &str, before: Option<&KnownBrowser>) -> KnownBrowser {
        let cookie = self.sessions.know(&person(who), &self.portal, before, self.clock.now()).unwrap();
        self.sessions.known_browser(&cookie, &self.portal, self.clock.now()).unwrap()
    }

    fn form(&self, browser: &KnownBrowser, sent_by: SentBy, body: &[u8]) -> KeptForm {
        KeptForm {
            portal: self.portal.clone(),
            person: browser.person(),
            sent_by,
            at: self.clock.now(),
            until: self.clock.now().after(LIMITS.kept_for),
            method: "POST".into(),
            target: "/create?x=1".into(),
            fields: vec![("content-type".into(), b"text/plain\xff".to_vec())],
            length: body.len() as u64,
        }
    }

    async fn keep(&self, browser: &KnownBrowser, sent_by: SentBy, client: &str) -> Result<FormHandle, NotKept> {
        self.keep_body(browser, sent_by, client, b"what was written \x00\xff").await
    }

    async fn keep_body(
        &self,
        browser: &KnownBrowser,
        sent_by: SentBy,
        client: &str,
        body: &[u8],
    ) -> Result<FormHandle, NotKept> {
        let form = self.form(browser, sent_by, body);
        self.sessions.keep_form(browser, form, body, client.parse().unwrap(), &LIMITS).await
    }

    async fn opens(&self, handle: &FormHandle, browser: &KnownBrowser) -> bool {
        self.sessions.kept_form(handle, browser, &self.portal, self.clock.now()).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_kept_form_opens_for_its_browser_and_portal_alone() {
    let world = world();
    let (ana, other) = (world.browser_of("ana", None), world.browser_of("ana", None));
    let handle = world.keep(&ana, SentBy::Person, "203.0.113.9").await.unwrap();
    let form = world.sessions.kept_form(&handle, &ana, &world.portal, world.clock.now()).await.unwrap().unwrap();
    assert_eq!((form.method.as_str(), form.target.as_str()), ("POST", "/create?x=1"));
    assert_eq!(form.fields, [("content-type".to_owned(), b"text/plain\xff".to_vec())]);
    assert_eq!((form.length, form.person), (19, ana.person()));
    assert_eq!(format!("{form:?}"), "KeptForm(POST /create, 19 bytes)");

    assert!(!world.opens(&handle, &other).await, "another browser of the same person");
    let elsewhere = HostName::parse("other.acme.com").unwrap();
    assert!(world.sessions.kept_form(&handle, &ana, &elsewhere, world.clock.now()).await.unwrap().is_none());
    let unknown = FormHandle::parse(&"A".repeat(43)).unwrap();
    assert!(!world.opens(&unknown, &ana).await);
    // The next sign-in in this browser is somebody else's: it is still known which browser it is, and that it is another.
    let ben = world.browser_of("ben", Some(&ana));
    let form = world.sessions.kept_form(&handle, &ben, &world.portal, world.clock.now()).await.unwrap().unwrap();
    assert!(form.person != ben.person() && form.person == PersonMark::of(&person("ana")));
    // The body opens when it was taken out, for its browser alone.
    let taken = world.sessions.take_form(&handle).await.unwrap().unwrap();
    assert!(world.sessions.body_of(&taken, &other).is_none());
    assert_eq!(&world.sessions.body_of(&taken, &ana).unwrap()[..], b"what was written \x00\xff");
}

#[tokio::test]
async fn head_and_body_are_sealed_apart_and_neither_opens_as_the_other_or_anothers() {
    let world = world();
    let ana = world.browser_of("ana", None);
    let (one, two) = (
        world.keep(&ana, SentBy::Person, "203.0.113.9").await.unwrap(),
        world.keep(&ana, SentBy::Person, "203.0.113.9").await.unwrap(),
    );
    let (one, two) = (
        world.sessions.take_form(&one).await.unwrap().unwrap(),
        world.sessions.take_form(&two).await.unwrap().unwrap(),
    );
    let with = |head: &TakenForm, body: &TakenForm, swapped: bool| {
        let mut stored = head.stored.clone();
        stored.body = if swapped { body.stored.head.clone() } else { body.stored.body.clone() };
        TakenForm { handle: head.handle.clone(), stored }
    };
    assert!(world.sessions.body_of(&with(&one, &one, false), &ana).is_some());
    assert!(world.sessions.body_of(&with(&one, &two, false), &ana).is_none(), "another form's body");
    assert!(world.sessions.body_of(&with(&one, &one, true), &ana).is_none(), "a head");
    world.sessions.put_form_back(with(&one, &one, true), world.clock.now()).await.unwrap();
    assert!(world.opens(&one.handle, &ana).await, "the head does not depend on the body");
}

#[tokio::test]
async fn the_store_sees_nothing_of_it_and_other_keys_open_nothing() {
    let world = world();
    let ana = world.browser_of("ana", None);
    let handle = world.keep(&ana, SentBy::Person, "203.0.113.9").await.unwrap();
    let shown = format!("{:?}", world.store);
    let plain = "written".bytes().map(|b| b.to_string()).collect::<Vec<_>>().join(", ");
    assert!(shown.len() > 100 && !shown.contains(&plain) && !shown.contains(handle.reveal()));
    let stranger = sessions(&world.store, &["b"], &world.clock);
    assert!(stranger.kept_form(&handle, &ana, &world.portal, world.clock.now()).await.unwrap().is_none());
    let rotated = sessions(&world.store, &["b", "a"], &world.clock);
    assert!(rotated.kept_form(&handle, &ana, &world.portal, world.clock.now()).await.unwrap().is_some());
}

#[tokio::test]
async fn it_is_taken_once_and_is_over_after_half_an_hour() {
    let world = world();
    let ana = world.browser_of("ana", None);
    let handle = world.keep(&ana, SentBy::Person, "203.0.113.9").await.unwrap();
    let taken = world.sessions.take_form(&handle).await.unwrap().unwrap();
    assert!(world.sessions.take_form(&handle).await.unwrap().is_none());
    assert!(!world.opens(&handle, &ana).await);
    world.sessions.put_form_back(taken, world.clock.now()).await.unwrap();
    world.clock.advance(LIMITS.kept_for - Duration::from_millis(1));
    assert!(world.opens(&handle, &ana).await);
    world.clock.advance(Duration::from_millis(1));
    assert!(!world.opens(&handle, &ana).await);
}

#[tokio::test]
async fn scripts_push_out_no_form_and_one_address_does_not_fill_the_store() {
    let world = world();
    let ana = world.browser_of("ana", None);
    for _ in 0..LIMITS.calls_of_one_browser {
        world.keep(&ana, SentBy::Script, "203.0.113.9").await.unwrap();
    }
    assert_eq!(world.keep(&ana, SentBy::Script, "203.0.113.9").await.unwrap_err(), NotKept::NoRoom);
    for _ in 0..LIMITS.forms_of_one_browser {
        world.keep(&ana, SentBy::Person, "203.0.113.9").await.unwrap();
    }
    assert_eq!(world.keep(&ana, SentBy::Person, "203.0.113.10").await.unwrap_err(), NotKept::NoRoom);
    let mebibyte = vec![0; 1024 * 1024 - 4096];
    let mut kept = 0;
    loop {
        let browser = world.browser_of(&format!("person {kept}"), None);
        match world.keep_body(&browser, SentBy::Person, "2001:db8::1", &mebibyte).await {
            Ok(_) => kept += 1,
            Err(error) => break assert_eq!(error, NotKept::NoRoom),
        }
    }
    assert_eq!(kept, 32, "32 MiB from one address");
    let browser = world.browser_of("ben", None);
    let keep = async |client: &str| world.keep_body(&browser, SentBy::Person, client, &mebibyte).await;
    assert!(keep("2001:db8::2").await.is_err(), "the same /64");
    assert!(keep("2001:db8:0:1::1").await.is_ok());
    let closed = Arc::clone(&world.store);
    closed.close().await.unwrap();
    assert_eq!(keep("203.0.113.1").await.unwrap_err(), NotKept::Store(StoreError::Closed));
}

#[tokio::test]
async fn neither_one_person_nor_one_portal_fills_the_store() {
    let world = world();
    let mebibyte = vec![0; 1024 * 1024 - 4096];
    let mut kept = 0;
    loop {
        let browser = world.browser_of("ana", None); // each time another one, elsewhere
        match world.keep_body(&browser, SentBy::Person, &format!("203.0.113.{kept}"), &mebibyte).await {
            Ok(_) => kept += 1,
            Err(error) => break assert_eq!(error, NotKept::NoRoom),
        }
    }
    assert_eq!(kept, 32, "32 MiB of one person");
    loop {
        let browser = world.browser_of(&format!("person {kept}"), None);
        match world.keep_body(&browser, SentBy::Person, &format!("198.51.100.{kept}"), &mebibyte).await {
            Ok(_) => kept += 1,
            Err(error) => break assert_eq!(error, NotKept::NoRoom),
        }
    }
    assert_eq!(kept, 128, "128 MiB of one portal");
    let other = World { portal: HostName::parse("other.acme.com").unwrap(), ..world };
    let browser = other.browser_of("ana", None);
    assert_eq!(
        other.keep_body(&browser, SentBy::Person, "203.0.113.99", &mebibyte).await.unwrap_err(),
        NotKept::NoRoom
    );
    let browser = other.browser_of("ben", None);
    other.keep_body(&browser, SentBy::Person, "203.0.113.99", &mebibyte).await.unwrap();
}

#[tokio::test]
async fn a_browser_is_known_by_what_we_sealed_for_this_portal_and_not_for_ever() {
    let world = world();
    let now = || world.clock.now();
    let cookie = world.sessions.know(&person("ana"), &world.portal, None, now()).unwrap();
    let known = world.sessions.known_browser(&cookie, &world.portal, now()).unwrap();
    assert!(known.person() == PersonMark::of(&person("ana")) && known.person() != PersonMark::of(&person("ben")));
    let elsewhere = HostName::parse("other.acme.com").unwrap();
    assert!(world.sessions.known_browser(&cookie, &elsewhere, now()).is_none());
    assert!(sessions(&world.store, &["b"], &world.clock).known_browser(&cookie, &world.portal, now()).is_none());
    for forged in ["", "AAAA", &"A".repeat(140), &cookie.reveal()[1..]] {
        assert!(world.sessions.known_browser(&Secret::generated(forged), &world.portal, now()).is_none(), "{forged}");
    }
    let again = world.sessions.know(&person("ben"), &world.portal, Some(&known), now()).unwrap();
    let again = world.sessions.known_browser(&again, &world.portal, now()).unwrap();
    assert!(again.hash() == known.hash() && again.person() != known.person());
    assert!(again.is_shared() && !known.is_shared(), "of two people");
    world.clock.advance(HOUR + super::super::known_browser::LONGER - Duration::from_millis(1));
    assert!(world.sessions.known_browser(&cookie, &world.portal, now()).is_some());
    world.clock.advance(Duration::from_millis(1));
    assert!(world.sessions.known_browser(&cookie, &world.portal, now()).is_none());
    assert_eq!(format!("{known:?} {:?}", known.person()), "KnownBrowser(..) PersonMark(..)");
}
