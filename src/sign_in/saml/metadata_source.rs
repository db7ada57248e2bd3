//! The metadata of one identity provider, kept fresh while people sign in.
//!
//! Read at first need, by one while the others wait; looked at again in the background, by what it says of itself. The last
//! good one is kept while its place cannot be reached or holds what is refused, but never past its `validUntil`, and what
//! came from a URL never for more than a week without word from there. A key that is published no more is believed no more
//! from the next look on. When certificates are configured the signature is demanded at every look.

mod fault;
mod known;
mod observer;
mod origin;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

pub use self::fault::MetadataFault;
pub use self::known::KnownProvider;
pub use self::observer::{MetadataEvent, MetadataObserver};

use self::known::Trust;
use self::origin::{Found, Origin, Version};
use crate::clock::{Clock, Timestamp};
use crate::http_client::HttpClient;
use crate::random::Random;
use crate::saml::keys::KeyRefused;

/// After a failed look, everybody who needs the metadata is told of that failure for this long.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// A failed look in the background is repeated after this long, then after twice as long, and so on...
const FIRST_RETRY: Duration = Duration::from_secs(30);
/// ...up to this.
const LAST_RETRY: Duration = Duration::from_secs(15 * 60);
/// A file is looked at this often. Looking at one that has not changed costs next to nothing.
const FILE_LOOK: Duration = Duration::from_secs(5);
/// When the background is this late, a sign-in looks for itself.
const LATE: Duration = Duration::from_secs(60);
/// What came from a URL is used for this long without word from there.
const WITHOUT_WORD: Duration = Duration::from_secs(7 * 24 * 3600);
/// The background wakes up this often at least: the wall clock may jump.
const WAKE: Duration = Duration::from_secs(30);

/// Where metadata is, and what is demanded of it.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataSettings {
    /// Where it is.
    pub from: MetadataFrom,
    /// The certificates, in DER, by whose keys it has to be signed. None: it need not be signed.
    pub signed_by: Vec<Vec<u8>>,
    /// The provider's entity id. Without it, the metadata has to describe one provider alone.
    pub entity_id: Option<String>,
    /// How often it is looked for at a URL, when it does not say itself how long it may be kept.
    pub refresh: Duration,
}

/// Where metadata is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataFrom {
    /// In a file; a changed file is read again.
    File(PathBuf),
    /// At a URL: `https`, or `http` on this very machine.
    Url(Url),
}

/// The metadata of one identity provider.
#[derive(Debug)]
pub struct MetadataSource {
    origin: Origin,
    trust: Arc<Trust>,
    refresh: Duration,
    clock: Clock,
    random: Random,
    state: ArcSwap<State>,
    /// Whoever looks holds it. Inside is what the metadata at hand was read from.
    looking: Mutex<Option<Version>>,
    observer: OnceLock<Arc<dyn MetadataObserver>>,
}

#[derive(Clone, Debug)]
struct State {
    held: Option<Held>,
    failed: Option<Failed>,
    next_look: Timestamp,
}

#[derive(Clone, Debug)]
struct Held {
    provider: Arc<KnownProvider>,
    /// When its place last said that this is what it has.
    confirmed: Timestamp,
}

/// Looks that failed, in a row.
#[derive(Clone, Debug)]
struct Failed {
    at: Timestamp,
    fault: MetadataFault,
    in_a_row: u32,
}

impl MetadataSource {
    /// Makes ready; nothing is read yet.
    ///
    /// # Errors
    /// When none of the certificates in `signed_by` holds a key that can be used.
    pub fn new(settings: MetadataSettings, http: HttpClient, clock: Clock) -> Result<Self, KeyRefused> {
        let MetadataSettings { from, signed_by, entity_id, refresh } = settings;
        let origin = Origin::new(from, http);
        let trust = Arc::new(Trust::new(&signed_by, entity_id, origin.is_elsewhere())?);
        let state = ArcSwap::from_pointee(State { held: None, failed: None, next_look: Timestamp::from_millis(0) });
        let (looking, observer) = (Mutex::new(None), OnceLock::new());
        Ok(Self { origin, trust, refresh, clock, random: Random::default(), state, looking, observer })
    }

    /// Tells `observer` of every look from now on. The first one counts; others are not told.
    pub fn watch(&self, observer: Arc<dyn MetadataObserver>) {
        let _ = self.observer.set(observer);
    }

    /// The provider, as its metadata at hand describes it; read now when there is none.
    ///
    /// # Errors
    /// When there is none at hand that may be used, and none to be had.
    pub async fn current(&self) -> Result<Arc<KnownProvider>, MetadataFault> {
        let now = self.clock.now();
        if let Some(provider) = self.usable(now) {
            let late = now >= self.state.load().next_look.after(LATE);
            // Somebody else looks already: what is at hand will do.
            if late && let Ok(looking) = self.looking.try_lock() {
                self.look(looking).await;
                return self.usable_or_fault();
            }
            return Ok(provider);
        }
        let looking = self.looking.lock().await;
        // Read, or failed, while we waited.
        let now = self.clock.now();
        if let Some(provider) = self.usable(now) {
            return Ok(provider);
        }
        if let Some(failed) = self.state.load().failed.as_ref().filter(|failed| now.since(failed.at) < AFTER_FAILURE) {
            return Err(failed.fault.clone());
        }
        self.look(looking).await;
        self.usable_or_fault()
    }

    /// Looks when it is time, for ever. To be spawned once.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            self.look_when_due().await;
            let wait = self.state.load().next_look.since(self.clock.now());
            tokio::time::sleep(wait.clamp(Duration::from_millis(100), WAKE)).await;
        }
    }

    /// Looks when it is time, or nothing was read yet.
    async fn look_when_due(&self) {
        let looking = self.looking.lock().await;
        if self.clock.now() >= self.state.load().next_look {
            self.look(looking).await;
        }
    }

    /// What is at hand, when it may be used.
    fn usable(&self, now: Timestamp) -> Option<Arc<KnownProvider>> {
        self.usable_of(&self.state.load(), now)
    }

    fn usable_of(&self, state: &State, now: Timestamp) -> Option<Arc<KnownProvider>> {
        let held = state.held.as_ref()?;
        let heard_of = matches!(self.origin, Origin::File(_)) || now.since(held.confirmed) < WITHOUT_WORD;
        let usable = heard_of && held.provider.description.validity.holds(now);
        usable.then(|| Arc::clone(&held.provider))
    }

    fn usable_or_fault(&self) -> Result<Arc<KnownProvider>, MetadataFault> {
        let state = self.state.load();
        match (self.usable_of(&state, self.clock.now()), &state.failed) {
            (Some(provider), _) => Ok(provider),
            (None, Some(failed)) => Err(failed.fault.clone()),
            (None, None) => Err(MetadataFault::Expired),
        }
    }

    /// Looks, and takes what is found when it is good.
    async fn look(&self, mut seen: MutexGuard<'_, Option<Version>>) {
        let before = self.state.load_full();
        let found = match self.found(&before, seen.as_ref()).await {
            Ok(Read::Unchanged(provider)) => Ok((provider, false)),
            Ok(Read::Changed(provider, version)) => {
                *seen = version;
                Ok((provider, true))
            }
            Err(fault) => Err(fault),
        };
        // It may have taken a while.
        let now = self.clock.now();
        match found {
            Ok((provider, new)) => {
                let valid_until = provider.description.validity.valid_until;
                let held = Some(Held { provider, confirmed: now });
                let next_look = self.next_look(held.as_ref(), now);
                self.state.store(Arc::new(State { held, failed: None, next_look }));
                self.tell(&MetadataEvent::Good { at: now, new, valid_until });
            }
            Err(fault) => {
                let in_a_row = before.failed.as_ref().map_or(0, |failed| failed.in_a_row).saturating_add(1);
                if before.failed.as_ref().is_none_or(|failed| failed.fault != fault) {
                    let kept = self.usable_of(&before, now).is_some();
                    tracing::error!(from = %self.origin, reason = fault.reason(), %fault, last_good_kept = kept,
                        "a SAML provider's metadata cannot be taken");
                }
                self.tell(&MetadataEvent::Failed(fault.clone()));
                let next_look = now.after(self.retry(before.held.as_ref(), in_a_row, now));
                let failed = Some(Failed { at: now, fault, in_a_row });
                self.state.store(Arc::new(State { held: before.held.clone(), failed, next_look }));
            }
        }
    }

    async fn found(&self, before: &State, seen: Option<&Version>) -> Result<Read, MetadataFault> {
        // What may not be used any more is asked for without "if it has changed".
        let now = self.clock.now();
        let held = before.held.as_ref().filter(|held| held.provider.description.validity.holds(now));
        match self.origin.look(seen.filter(|_| held.is_some())).await? {
            Found::Unchanged => match held {
                Some(held) => Ok(Read::Unchanged(Arc::clone(&held.provider))),
                None => Err(MetadataFault::Expired),
            },
            Found::Document { octets, version } => {
                let (trust, now) = (Arc::clone(&self.trust), self.clock.now());
                let known = before.held.as_ref().map(|held| held.provider.description.entity_id.clone());
                // A federation's file takes seconds to verify.
                let read = tokio::task::spawn_blocking(move || trust.read(&octets, known.as_deref(), now));
                let provider =
                    read.await.map_err(|_| MetadataFault::Misbehaved("it could not be read to its end"))??;
                Ok(Read::Changed(Arc::new(provider), version))
            }
        }
    }

    /// The next look after a good one. A little earlier by chance, so that many gateways do not ask at once.
    fn next_look(&self, held: Option<&Held>, now: Timestamp) -> Timestamp {
        let (Origin::Url { .. }, Some(held)) = (&self.origin, held) else { return now.after(FILE_LOOK) };
        let until = held.provider.description.validity.next_refresh(now, self.refresh).since(now);
        let chance = self.random.bytes::<1>().map_or(0, |[byte]| u32::from(byte)); // without any, on the dot
        let sooner = until.checked_div(2560).unwrap_or_default().saturating_mul(chance);
        now.after(until.saturating_sub(sooner))
    }

    /// How long to wait after the last of so many failures: less as the end comes near.
    fn retry(&self, held: Option<&Held>, in_a_row: u32, now: Timestamp) -> Duration {
        if matches!(self.origin, Origin::File(_)) {
            return FILE_LOOK;
        }
        let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(in_a_row.saturating_sub(1).min(16)));
        let left = held.and_then(|held| held.provider.description.validity.valid_until).map(|end| end.since(now));
        let half = left.filter(|left| !left.is_zero()).and_then(|left| left.checked_div(2));
        doubled.min(LAST_RETRY).min(half.unwrap_or(LAST_RETRY)).max(FIRST_RETRY)
    }

    fn tell(&self, event: &MetadataEvent) {
        if let Some(observer) = self.observer.get() {
            observer.note(event);
        }
    }
}

/// What a look found.
enum Read {
    Unchanged(Arc<KnownProvider>),
    Changed(Arc<KnownProvider>, Option<Version>),
}

#[cfg(test)]
mod tests;
