//! A session in memory, shared by all requests that carry its cookie.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, Notify};

use super::customer_session::CustomerSession;
use super::entry::SessionEntry;
use super::family::Family;
use super::record::{Record, RecordParts};
use super::sealed::{Kind, NotSealed, Sealed, SealingKey};
use super::settings::SessionSettings;
use crate::clock::Timestamp;
use crate::ids::{Affinity, SessionHash};
use crate::portal::host::HostName;
use crate::random::Random;
use crate::sign_in::{SignOutHint, VerifiedIdentity};

/// How long sessions last, and how coarsely their use is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    pub idle: Duration,
    pub absolute: Duration,
    /// The use of one session is written at most once in this time.
    pub write_back: Duration,
}

impl Lifetimes {
    pub fn of(settings: &SessionSettings) -> Self {
        let tenth = settings.idle_timeout.checked_div(10).unwrap_or_default();
        let write_back = tenth.min(Duration::from_secs(60));
        Self { idle: settings.idle_timeout, absolute: settings.absolute_timeout, write_back }
    }

    /// When a session that was opened then has to end, however much it is used.
    pub fn ends_at(&self, opened: Timestamp, not_after: Option<Timestamp>) -> Timestamp {
        let absolute = opened.after(self.absolute);
        not_after.map_or(absolute, |limit| limit.min(absolute))
    }
}

/// One session. Reading it takes no lock.
pub struct LiveSession {
    hash: SessionHash,
    identity: VerifiedIdentity,
    affinity: Affinity,
    hint: Option<SignOutHint>,
    portal: HostName,
    client: IpAddr,
    opened: Timestamp,
    family: OnceLock<Family>,
    ends_at: Timestamp,
    lifetimes: Lifetimes,
    /// Seals the record again when the customer session changes; the session id itself is not kept.
    record_key: SealingKey,
    last_seen: AtomicI64,
    /// The `last_seen` that was last given to the store.
    written: AtomicI64,
    ended: AtomicBool,
    ending: Notify,
    customer_session: ArcSwapOption<CustomerSession>,
    /// The highest generation ever held.
    generation: AtomicU64,
    single_flight: Mutex<()>,
    /// Orders the writes of this session's record.
    pub(super) writing: Mutex<()>,
}

/// What a session says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the visitor's.
    Sound,
    /// It belongs to another portal, or was ended.
    NotHere,
    /// Its time is over.
    Over,
}

impl LiveSession {
    pub(super) fn new(
        hash: SessionHash,
        record: Record,
        last_seen: Timestamp,
        lifetimes: Lifetimes,
        record_key: SealingKey,
    ) -> Self {
        let Record { identity, hint, portal, client, opened, family, customer_session } = record;
        Self {
            hash,
            ends_at: lifetimes.ends_at(opened, identity.not_after()),
            affinity: identity.affinity(),
            identity,
            hint,
            portal,
            client,
            opened,
            family: family.map_or_else(OnceLock::new, OnceLock::from),
            lifetimes,
            record_key,
            last_seen: AtomicI64::new(last_seen.millis()),
            written: AtomicI64::new(last_seen.millis()),
            ended: AtomicBool::new(false),
            ending: Notify::new(),
            generation: AtomicU64::new(customer_session.as_ref().map_or(0, CustomerSession::generation)),
            customer_session: ArcSwapOption::from_pointee(customer_session),
            single_flight: Mutex::new(()),
            writing: Mutex::new(()),
        }
    }

    /// A session of `identity` that no store knows, for the tests of later steps.
    #[cfg(test)]
    pub(crate) fn for_test(identity: VerifiedIdentity, portal: &HostName, opened: Timestamp) -> Arc<Self> {
        let id = crate::ids::SessionId::generate(&Random::default()).unwrap();
        let keys = super::keys::KeyRing::new(&[crate::secret::Secret::generated("k".repeat(43))]).unwrap();
        let record = Record {
            identity,
            hint: None,
            portal: portal.clone(),
            client: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            opened,
            family: None,
            customer_session: None,
        };
        let hour = Duration::from_secs(3600);
        let lifetimes = Lifetimes { idle: hour, absolute: hour.saturating_mul(12), write_back: hour };
        Arc::new(Self::new(id.hash(), record, opened, lifetimes, keys.first().record_key(&id)))
    }

    /// The session's name in the store and in logs.
    pub fn hash(&self) -> &SessionHash {
        &self.hash
    }

    /// Who signed in.
    pub fn identity(&self) -> &VerifiedIdentity {
        &self.identity
    }

    /// Tells the person from others, so that each is served at one place.
    pub fn affinity(&self) -> Affinity {
        self.affinity
    }

    /// What the provider is told at sign-out, so that it knows whose session ends.
    pub fn sign_out_hint(&self) -> Option<&SignOutHint> {
        self.hint.as_ref()
    }

    /// The portal that the session is for.
    pub fn portal(&self) -> &HostName {
        &self.portal
    }

    /// The address that the person signed in from.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// When the person signed in.
    pub fn opened(&self) -> Timestamp {
        self.opened
    }

    /// The sessions of one browser at the portals of a group, where it is one of them.
    pub fn family(&self) -> Option<&Family> {
        self.family.get()
    }

    /// It is one of them from now on; the first time counts.
    pub(super) fn put_family(&self, family: Family) {
        let _ = self.family.set(family);
    }

    /// When the session was last used.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// When the session ends if nobody uses it from now on: the earliest of the idle timeout, the absolute timeout and
    /// the provider's limit.
    pub fn expires(&self) -> Timestamp {
        self.last_seen().after(self.lifetimes.idle).min(self.ends_at)
    }

    /// Whether the session was ended. A request that has been on its way for long should ask again.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Waits until the session is ended. Its time may be over before anybody ends it: see [`LiveSession::is_over`].
    pub async fn ended(&self) {
        let ending = self.ending.notified();
        if !self.is_ended() {
            ending.await;
        }
    }

    /// Notes a use that is no request: something came through an open tunnel.
    pub fn is_used(&self, now: Timestamp) {
        self.last_seen.fetch_max(now.millis(), Ordering::Relaxed);
    }

    /// The customer session, when one is held. Takes no lock.
    pub fn customer_session(&self) -> Option<Arc<CustomerSession>> {
        self.customer_session.load_full()
    }

    /// The generation that a new customer session has to carry: higher than any before.
    pub fn next_generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire).saturating_add(1)
    }

    /// Held by the one request that opens a customer session while the others wait. Taken by nothing in this module.
    pub fn single_flight(&self) -> &Mutex<()> {
        &self.single_flight
    }

    /// Judges a request at `now` and notes the use. A clock that jumps back does not make a session younger.
    pub(super) fn admit(&self, portal: &HostName, now: Timestamp) -> Standing {
        if self.is_ended() || *portal != self.portal {
            return Standing::NotHere;
        }
        if self.is_over(now) {
            return Standing::Over;
        }
        if now > self.last_seen() {
            self.is_used(now);
        }
        Standing::Sound
    }

    /// Whether the session's time is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.max(self.last_seen()) >= self.expires()
    }

    /// Whether the use of this session should be written now: to one caller only, it gives what was written before.
    pub(super) fn claim_write_back(&self, at_least: Duration) -> Option<Timestamp> {
        let (seen, written) = (self.last_seen(), self.written.load(Ordering::Relaxed));
        let before = Timestamp::from_millis(written);
        let claimed = seen > before
            && seen.since(before) >= at_least
            && self.written.compare_exchange(written, seen.millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok();
        claimed.then_some(before)
    }

    /// The store did not take what [`LiveSession::claim_write_back`] gave leave to write: the next use tries again.
    pub(super) fn not_written(&self, before: Timestamp) {
        self.written.fetch_min(before.millis(), Ordering::Relaxed);
    }

    /// Ends the session. True for the one call that did it.
    pub(super) fn mark_ended(&self) -> bool {
        let first = !self.ended.swap(true, Ordering::AcqRel);
        self.ending.notify_waiters();
        first
    }

    /// Takes the customer session out.
    pub(super) fn take_customer_session(&self) -> Option<Arc<CustomerSession>> {
        self.customer_session.swap(None)
    }

    /// Puts a newer customer session in; false when it is not newer than all before.
    pub(super) fn put_customer_session(&self, new: Arc<CustomerSession>) -> bool {
        let generation = new.generation();
        if self.generation.fetch_max(generation, Ordering::AcqRel) >= generation {
            return false;
        }
        self.customer_session.rcu(|held| match held {
            Some(held) if held.generation() > generation => Some(Arc::clone(held)),
            _ => Some(Arc::clone(&new)),
        });
        true
    }

    /// Takes the customer session out if it is of that generation.
    pub(super) fn drop_customer_session(&self, generation: u64) -> bool {
        let held = self.customer_session.load();
        match &*held {
            Some(old) if old.generation() == generation => {
                let before = self.customer_session.compare_and_swap(&*held, None);
                before.as_ref().is_some_and(|before| Arc::ptr_eq(before, old))
            }
            _ => false,
        }
    }

    /// The index part as it is now.
    pub(super) fn entry(&self) -> SessionEntry {
        SessionEntry {
            hash: self.hash,
            provider: self.identity.provider().clone(),
            issuer: self.identity.issuer().to_owned(),
            subject: self.identity.subject().to_owned(),
            email: self.identity.email().cloned(),
            provider_session: self.identity.provider_session().map(str::to_owned),
            more_provider_sessions: match &self.hint {
                Some(SignOutHint::Saml(session)) => session.session_indexes.iter().skip(1).cloned().collect(),
                Some(SignOutHint::IdToken(_)) | None => Vec::new(),
            },
            name_id: self.hint.as_ref().and_then(SignOutHint::name_id),
            family: self.family().cloned(),
            portal: self.portal.clone(),
            opened: self.opened,
            last_seen: self.last_seen(),
            client: self.client,
        }
    }

    /// The sealed record as it is now.
    pub(super) fn sealed_record(&self, random: &Random) -> Result<Sealed, NotSealed> {
        let parts = RecordParts {
            identity: &self.identity,
            hint: self.hint.as_ref(),
            portal: &self.portal,
            client: self.client,
            opened: self.opened,
            family: self.family(),
        };
        let plain = parts.plain(self.customer_session().as_deref())?;
        self.record_key.seal(Kind::Record, &self.hash, &plain, random)
    }

    /// When the store may sweep the record, as far as it can know: use that is not yet written is allowed for.
    pub(super) fn swept_after(&self) -> Timestamp {
        let unwritten = self.lifetimes.write_back.saturating_mul(3).saturating_add(Duration::from_secs(10));
        self.last_seen().after(self.lifetimes.idle).after(unwritten).min(self.ends_at)
    }
}

impl fmt::Debug for LiveSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSession")
            .field("hash", &self.hash)
            .field("portal", &self.portal)
            .field("opened", &self.opened)
            .field("ended", &self.is_ended())
            .finish_non_exhaustive()
    }
}
