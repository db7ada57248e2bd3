//! Sessions: opened, found, ended. The hot path, [`Sessions::cached`], reads memory only.

mod ending;
mod handing;
mod kept;
mod known_browser;
mod lookup;
mod records;
mod shared;
mod succession;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use moka::sync::Cache;
use tokio::sync::broadcast;

pub use self::ending::{Ended, EndedSession, PartlyEnded};
pub use self::handing::NotHanded;
use self::handing::{Codes, Kin};
pub use self::kept::{FormHandle, KeptForm, NotKept, SentBy, TakenForm};
pub use self::known_browser::{KnownBrowser, PersonMark};
pub use self::records::{Change, Found, RecordError, RecordName, Records, Seen, Unchanged, Walked};
use self::shared::JustOpened;
pub use self::succession::{CarriedOver, SessionNews, ToldBy};
use super::customer_session::CustomerSession;
use super::entry::Listing;
use super::keys::KeyRing;
use super::live::{Lifetimes, LiveSession};
use super::recent_logouts::RecentLogouts;
use super::record::Record;
use super::registry::{Registry, Whereabouts};
use super::sealed::NotSealed;
use super::settings::{SessionSettings, StoreSettings};
use super::store::embedded::EmbeddedStore;
use super::store::{Mark, SessionStore, StoreError, StoredSession};
use crate::clock::{Clock, Timestamp};
use crate::ids::{SessionHash, SessionId};
use crate::portal::host::HostName;
use crate::random::{NoRandomness, Random};
use crate::sign_in::{SignOutHint, VerifiedIdentity};

/// All sessions. Clones share them.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    keys: KeyRing,
    store: Arc<dyn SessionStore>,
    cache: Cache<SessionHash, Arc<LiveSession>>,
    registry: Registry,
    codes: Codes,
    just_opened: JustOpened,
    logouts: RecentLogouts,
    /// For the other process, while two of them serve.
    news: OnceLock<broadcast::Sender<(ToldBy, SessionNews)>>,
    lifetimes: Lifetimes,
    clock: Clock,
    random: Random,
}

/// What memory alone knows of a cookie.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// A session, sound now.
    Found(Arc<LiveSession>),
    /// A session, but not for this request: over, ended, or of another portal.
    Refused,
    /// Ask the store, by [`Sessions::find`].
    NotCached,
}

/// What became of a customer session that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept, in memory and on the disk.
    Kept,
    /// A newer or equal one was there already: use that.
    Older,
    /// The session has ended meanwhile: the caller should end the customer session too.
    SessionEnded,
}

/// Why no session was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No id could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The provider's limit for the session has passed already.
    #[error("the identity provider's limit for the session has passed")]
    Over,
    /// It was ended before it was opened, by a sign-out at the same time.
    #[error("the session was ended while it was being opened")]
    EndedMeanwhile,
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// The metric label: one of a closed set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NoRandomness(_) => "no_randomness",
            Self::Over => "session_over_already",
            Self::EndedMeanwhile => "session_ended_meanwhile",
            Self::Store(error) => error.label(),
        }
    }
}

impl From<NotSealed> for OpenError {
    fn from(error: NotSealed) -> Self {
        Self::Store(error.into())
    }
}

impl Sessions {
    /// Opens the configured store.
    ///
    /// # Errors
    /// When the keys will not do, or the store cannot be opened: in use, of another format, damaged, unreachable.
    pub fn start(settings: &SessionSettings, clock: Clock, random: Random) -> Result<Self, StoreError> {
        let StoreSettings::Embedded { path } = &settings.store;
        let keys = KeyRing::new(&settings.keys)?;
        let store = Arc::new(EmbeddedStore::open(path.clone())?);
        Ok(Self::assemble(settings, keys, store, clock, random))
    }

    /// Sessions in `store`, whatever the settings say of stores.
    ///
    /// # Errors
    /// When the keys will not do.
    pub fn with_store(
        settings: &SessionSettings,
        store: Arc<dyn SessionStore>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, StoreError> {
        Ok(Self::assemble(settings, KeyRing::new(&settings.keys)?, store, clock, random))
    }

    fn assemble(
        settings: &SessionSettings,
        keys: KeyRing,
        store: Arc<dyn SessionStore>,
        clock: Clock,
        random: Random,
    ) -> Self {
        let (cache, lifetimes) = (Cache::new(settings.cache_entries), Lifetimes::of(settings));
        let (registry, codes, just_opened) = (Registry::default(), Codes::default(), shared::just_opened());
        let (logouts, news) = (RecentLogouts::default(), OnceLock::new());
        let inner = Inner { keys, store, cache, registry, codes, just_opened, logouts, news, lifetimes, clock, random };
        Self { inner: Arc::new(inner) }
    }

    /// Opens a session under a new id; it is lasting when this returns. The id goes into the cookie and nowhere else.
    ///
    /// # Errors
    /// When it cannot be made or kept, or is over already: nobody is signed in then.
    pub async fn open(
        &self,
        identity: VerifiedIdentity,
        hint: Option<SignOutHint>,
        portal: HostName,
        client: IpAddr,
    ) -> Result<(SessionId, Arc<LiveSession>), OpenError> {
        self.open_begun(identity, hint, portal, client, self.inner.clock.now()).await
    }

    /// The same, for a sign-in that began at `begun`: what its provider has ended since then is not opened.
    ///
    /// # Errors
    /// As for [`Sessions::open`].
    pub async fn open_begun(
        &self,
        identity: VerifiedIdentity,
        hint: Option<SignOutHint>,
        portal: HostName,
        client: IpAddr,
        begun: Timestamp,
    ) -> Result<(SessionId, Arc<LiveSession>), OpenError> {
        self.open_akin(identity, hint, portal, client, (begun, Kin::default())).await
    }

    async fn open_akin(
        &self,
        identity: VerifiedIdentity,
        hint: Option<SignOutHint>,
        portal: HostName,
        client: IpAddr,
        (begun, kin): (Timestamp, Kin),
    ) -> Result<(SessionId, Arc<LiveSession>), OpenError> {
        let inner = &*self.inner;
        let now = inner.clock.now();
        let (opened, family) = (kin.opened.unwrap_or(now), kin.family);
        let id = SessionId::generate(&inner.random)?;
        let (hash, record_key) = (id.hash(), inner.keys.first().record_key(&id));
        let record = Record { identity, hint, portal, client, opened, family, customer_session: None };
        let live = Arc::new(LiveSession::new(hash, record, now, inner.lifetimes, record_key));
        if live.is_over(now) {
            return Err(OpenError::Over);
        }
        // Known as arriving before it is written: a sign-out that finds it in the store must reach it here too.
        let Whereabouts::Arriving(arriving) = inner.registry.whereabouts(&hash) else {
            return Err(OpenError::EndedMeanwhile); // 256 random bits twice: not random
        };
        let stored = StoredSession { record: live.sealed_record(&inner.random)?, index: inner.index_of(&live)? };
        inner.store.save(&hash, stored).await?;
        if !arriving.admit(&live) {
            return Err(OpenError::EndedMeanwhile);
        }
        // Last: a logout that is told from now on finds the session.
        if inner.logouts.mean(&live.entry(), begun) {
            self.end(&live).await?;
            return Err(OpenError::EndedMeanwhile);
        }
        inner.cache.insert(hash, Arc::clone(&live));
        Ok((id, live))
    }

    /// Looks a cookie up in memory: no disk, no wait. What is over is ended by the way.
    pub fn cached(&self, id: &SessionId, portal: &HostName, now: Timestamp) -> Lookup {
        match self.inner.cache.get(&id.hash()) {
            Some(live) => self.inner.admitted(live, portal, now).map_or(Lookup::Refused, Lookup::Found),
            None => Lookup::NotCached,
        }
    }

    /// Looks a cookie up in memory, then in the store. `None` for what is unknown, over, ended, of another portal, or
    /// sealed by keys that are not configured. Requests that ask for one id at the same time load it once.
    ///
    /// # Errors
    /// When the store cannot be read: the visitor may well have a session, and must not be sent to sign in again.
    pub async fn find(
        &self,
        id: &SessionId,
        portal: &HostName,
        now: Timestamp,
    ) -> Result<Option<Arc<LiveSession>>, StoreError> {
        match self.cached(id, portal, now) {
            Lookup::Found(live) => return Ok(Some(live)),
            Lookup::Refused => return Ok(None),
            Lookup::NotCached => {}
        }
        let loaded = self.inner.load(id).await?;
        Ok(loaded.and_then(|live| self.inner.admitted(live, portal, now)))
    }

    /// Keeps a customer session that is newer than the one held: in memory at once, on the disk before this returns.
    ///
    /// # Errors
    /// When it could not be written. It is held in memory nevertheless, and serves until the process ends.
    pub async fn keep_customer_session(
        &self,
        session: &Arc<LiveSession>,
        customer_session: CustomerSession,
    ) -> Result<Kept, StoreError> {
        let inner = &*self.inner;
        if session.is_ended() {
            return Ok(Kept::SessionEnded);
        }
        if !session.put_customer_session(Arc::new(customer_session)) {
            return Ok(Kept::Older);
        }
        let order = session.writing.lock().await; // what is written last is what is held last
        let written = inner.store.replace(session.hash(), session.sealed_record(&inner.random)?).await;
        drop(order);
        if written == Ok(false) {
            inner.lay_down(session); // the store has forgotten it
        }
        if session.is_ended() {
            session.take_customer_session();
            return Ok(Kept::SessionEnded);
        }
        written.map(|_| Kept::Kept)
    }

    /// Lets go of a customer session that the upstream no longer knows, if it is still the one held. False when a newer
    /// one is held already. The disk keeps the dead one until the next is kept; after a restart it is found dead again.
    pub fn drop_customer_session(&self, session: &LiveSession, generation: u64) -> bool {
        session.drop_customer_session(generation)
    }

    /// Whether this is the first use of something that may be used once, until after `until`: true for one call alone,
    /// whichever process it is in. `what` names it in parts.
    ///
    /// # Errors
    /// When that could not be written: then it must not be used.
    pub async fn first_use(&self, what: &[&str], until: Timestamp) -> Result<bool, StoreError> {
        self.inner.store.mark_once(&Mark::of(what), until).await
    }

    /// Up to `limit` sessions, for operators.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self, limit: usize) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for (hash, sealed) in self.inner.store.scan(limit).await? {
            match self.inner.entry(&hash, &sealed) {
                Some(entry) => listing.sessions.push(entry),
                None => listing.unreadable = listing.unreadable.saturating_add(1),
            }
        }
        Ok(listing)
    }

    /// How many sessions are stored, with those that are over and not yet swept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.inner.store.count().await
    }

    /// How many sessions are held in memory, roughly.
    pub fn cached_count(&self) -> u64 {
        self.inner.cache.entry_count()
    }

    /// Waits until everything noted before is lasting.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.inner.write_all_back();
        self.inner.store.flush().await
    }

    /// Writes what is left and lets go of the store. For shutting down.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.write_all_back();
        self.inner.store.close().await
    }

    /// How the last write went.
    ///
    /// # Errors
    /// The last write's, until one works again.
    pub fn health(&self) -> Result<(), StoreError> {
        self.inner.store.health()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("store", &self.inner.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
