//! Sign-ins that have begun and not ended: what the visitor's browser must bring back, and where they wanted to go.
//!
//! Owns the only copy of nonce, PKCE verifier and SAML request id. Keys are hashes of what travels (`state`, RelayState,
//! handles, the browser's key), so this table could be read out without helping anyone. Strangers fill it: it is bounded, the oldest goes
//! first, one browser has a handful, and those who came without our cookie are in a pool of their own, so that hits
//! without cookies cannot push out those who keep cookies. Whoever is pushed out begins again, and has the cookie then.
//!
//! Every operation is one step on one table, by hash: what a shared store offers too.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

use super::bounded::Bounded;
use super::browser::{BrowserHash, sha256};
use super::next_url::NextUrl;
use super::provider::Provider;
use super::saml::AuthnAsked;
use super::trial::TrialId;
use super::under_way::{HeldSignIn, HeldSlot, Waits};
use crate::clock::Timestamp;
use crate::ids::{ProviderName, SessionHash};
use crate::portal::HostName;
use crate::secret::Secret;

/// How long a sign-in may take, from the redirect to the provider until the way back.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How many sign-ins are held at once when nothing else is said.
pub const DEFAULT_LIMIT: usize = 100_000;

/// Sign-ins that one browser can have open at once (tabs).
const PER_BROWSER: usize = 16;

/// Restarts of one browser within [`LOOP_WINDOW`] that are let pass: each of its tabs may need one.
const RESTARTS: usize = PER_BROWSER;

/// Completed sign-ins of one browser within [`LOOP_WINDOW`] that are let pass: one who has to sign in that often
/// loses the session again and again.
const COMPLETIONS: usize = 20;

/// Repeats of one callback that are let pass. A person repeats a few; a broken cache on the way repeats for ever.
const REPEATS: u32 = 20;

/// The window in which loops are looked for.
const LOOP_WINDOW: Duration = Duration::from_secs(60);

/// A sign-in at a provider, waiting for its callback.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) provider: ProviderName,
    /// The provider itself: one that was given other settings since is not the one that was asked.
    pub(super) asked_of: Weak<Provider>,
    pub(super) portal: HostName,
    pub(super) browser: BrowserHash,
    /// The session that the visitor had when it began, and that the new one takes the place of.
    pub(super) session: Option<SessionHash>,
    /// The cookie by which the browser is known.
    pub(super) known: Option<Secret>,
    pub(super) next: NextUrl,
    /// When it began.
    pub(super) begun: Timestamp,
    /// The test sign-in that it is; none for a visitor's own.
    pub(super) trial: Option<TrialId>,
    pub(super) asked: Asked,
}

/// What the protocol has to find again in the answer.
#[derive(Debug)]
pub(super) enum Asked {
    /// OpenID Connect.
    Oidc {
        /// Goes into the ID token.
        nonce: String,
        /// Redeems the code (RFC 7636).
        pkce_verifier: Secret,
    },
    /// SAML.
    Saml(AuthnAsked),
}

/// Whether a browser brought our cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It did.
    WithCookie,
    /// It did not: it is its first time, or it keeps none.
    Without,
}

/// What was found under a `state`.
#[derive(Debug)]
pub(super) enum Taken {
    /// This call, and no other, may go on with it.
    Pending(Box<Pending>),
    /// Somebody already went on with it: a repeated callback of the same browser.
    Repeated(NextUrl),
    /// Repeated so often that no person does it.
    RepeatedEndlessly,
    /// It was for another provider (mix-up, RFC 9700 section 4.4). It is used up.
    OtherProvider(NextUrl),
    /// Begun with a key that was given a moment ago, perhaps to this very browser: of several tabs that a new browser opens
    /// at once, each is given one, and the last one stays. It stays untouched; only where it wanted to go is told.
    OtherTab(NextUrl),
    /// Unknown, expired, pushed out, or of another browser or portal: whose it is stays untouched.
    Unknown,
}

enum Slot {
    Remembered { portal: HostName, next: NextUrl },
    Waiting(Box<Pending>),
    Used { portal: HostName, next: NextUrl, repeats: u32 },
}

impl Slot {
    /// For another process. A test sign-in stays with the process whose operator waits for it.
    fn held(&self, key: Key, browser: BrowserHash, came: Came, since: Timestamp) -> Option<HeldSignIn> {
        let slot = match self {
            Self::Remembered { portal, next } => HeldSlot::Remembered { portal: portal.clone(), next: next.clone() },
            Self::Used { portal, next, .. } => HeldSlot::Used { portal: portal.clone(), next: next.clone() },
            Self::Waiting(pending) => HeldSlot::Waits(Box::new(Waits::of(pending)?)),
        };
        Some(HeldSignIn { key, browser, with_cookie: came == Came::WithCookie, since, slot })
    }
}

/// The hash under which something is held.
type Key = [u8; 32];

/// All sign-ins that are under way.
pub(super) struct PendingSignIns {
    tables: Mutex<Tables>,
}

struct Tables {
    /// Of browsers that came without our cookie.
    newcomers: Bounded<Key, (BrowserHash, Slot)>,
    /// Of browsers that brought our cookie.
    returning: Bounded<Key, (BrowserHash, Slot)>,
    /// The keys of each browser, oldest first.
    browsers: Bounded<BrowserHash, VecDeque<Key>>,
    restarts: Bounded<BrowserHash, VecDeque<Timestamp>>,
    completions: Bounded<BrowserHash, VecDeque<Timestamp>>,
    /// The next process, which is told of everything from the moment of the handover on.
    heir: Option<mpsc::UnboundedSender<HeldSignIn>>,
}

impl PendingSignIns {
    /// A table of at most `limit` sign-ins and `limit` KiB.
    pub(super) fn new(limit: usize) -> Self {
        let half = limit.div_ceil(2).max(1);
        let counted = limit.max(1);
        let tables = Tables {
            newcomers: Bounded::new(half, half.saturating_mul(1024), LIFETIME),
            returning: Bounded::new(half, half.saturating_mul(1024), LIFETIME),
            browsers: Bounded::new(counted, usize::MAX, LIFETIME),
            restarts: Bounded::new(counted, usize::MAX, LOOP_WINDOW),
            completions: Bounded::new(counted, usize::MAX, LOOP_WINDOW),
            heir: None,
        };
        Self { tables: Mutex::new(tables) }
    }

    /// Holds `pending` until the browser comes back with `state`.
    pub(super) fn hold(&self, state: &str, pending: Pending, came: Came, now: Timestamp) {
        let (browser, size) = (pending.browser, pending.next.as_str().len());
        self.tables().insert(sha256(state), (browser, came), Slot::Waiting(Box::new(pending)), size, now);
    }

    /// Keeps `next` under `handle` while the visitor chooses a provider.
    pub(super) fn remember(
        &self,
        handle: &str,
        browser: (BrowserHash, Came),
        portal: HostName,
        next: NextUrl,
        now: Timestamp,
    ) {
        let size = next.as_str().len();
        self.tables().insert(sha256(handle), browser, Slot::Remembered { portal, next }, size, now);
    }

    /// What [`PendingSignIns::remember`] kept for that browser at that portal. It stays: people go back and choose again.
    pub(super) fn recall(
        &self,
        handle: &str,
        browser: BrowserHash,
        portal: &HostName,
        now: Timestamp,
    ) -> Option<NextUrl> {
        match self.tables().slot(&sha256(handle), now)? {
            (owner, Slot::Remembered { portal: at, next }) if *owner == browser && at == portal => Some(next.clone()),
            _ => None,
        }
    }

    /// Takes what waits under `state`, once: of many parallel calls one gets it.
    pub(super) fn take(
        &self,
        state: &str,
        browser: BrowserHash,
        portal: &HostName,
        provider: &ProviderName,
        now: Timestamp,
    ) -> Taken {
        let mut tables = self.tables();
        let key = sha256(state);
        let Some((owner, slot)) = tables.slot(&key, now) else { return Taken::Unknown };
        if *owner != browser {
            let (owner, next) = match slot {
                Slot::Waiting(pending) if pending.portal == *portal => (*owner, pending.next.clone()),
                _ => return Taken::Unknown,
            };
            return if tables.is_new(owner, now) { Taken::OtherTab(next) } else { Taken::Unknown };
        }
        match slot {
            Slot::Used { portal: at, repeats, .. } if at == portal && *repeats >= REPEATS => Taken::RepeatedEndlessly,
            Slot::Used { portal: at, next, repeats } if at == portal => {
                *repeats = repeats.saturating_add(1);
                Taken::Repeated(next.clone())
            }
            Slot::Waiting(pending) if pending.portal == *portal => {
                let used = Slot::Used { portal: portal.clone(), next: pending.next.clone(), repeats: 0 };
                let told = used.held(key, browser, Came::WithCookie, now);
                let taken = match std::mem::replace(slot, used) {
                    Slot::Waiting(pending) if pending.provider == *provider => Taken::Pending(pending),
                    Slot::Waiting(pending) => Taken::OtherProvider(pending.next),
                    Slot::Remembered { .. } | Slot::Used { .. } => Taken::Unknown,
                };
                tables.tell_heir(told);
                taken
            }
            Slot::Waiting(_) | Slot::Remembered { .. } | Slot::Used { .. } => Taken::Unknown,
        }
    }

    /// Counts a restart of that browser; false when it has had too many within a minute.
    pub(super) fn may_restart(&self, browser: BrowserHash, now: Timestamp) -> bool {
        count(&mut self.tables().restarts, browser, RESTARTS, now)
    }

    /// Counts a completed sign-in of that browser; false when it has had too many within a minute.
    pub(super) fn may_complete(&self, browser: BrowserHash, now: Timestamp) -> bool {
        count(&mut self.tables().completions, browser, COMPLETIONS, now)
    }

    /// All that are held, the oldest first; and those that change from now on, as long as the receiver is kept.
    pub(super) fn hand_over(&self, now: Timestamp) -> (Vec<HeldSignIn>, mpsc::UnboundedReceiver<HeldSignIn>) {
        let (heir, later) = mpsc::unbounded_channel();
        let mut tables = self.tables();
        let pools = [(Came::Without, &tables.newcomers), (Came::WithCookie, &tables.returning)];
        let mut held = Vec::new();
        for (came, pool) in pools {
            let lives = pool.in_order().filter(|(.., since)| now.since(*since) < LIFETIME);
            held.extend(lives.filter_map(|(key, (browser, slot), since)| slot.held(*key, *browser, came, since)));
        }
        tables.heir = Some(heir);
        (held, later)
    }

    /// Holds what another process held. `asked_of` finds the provider that was asked.
    pub(super) fn take_over(&self, held: HeldSignIn, asked_of: impl FnOnce(&Waits) -> Weak<Provider>) {
        let HeldSignIn { key, browser, with_cookie, since, slot } = held;
        let came = if with_cookie { Came::WithCookie } else { Came::Without };
        let (slot, size) = match slot {
            HeldSlot::Remembered { portal, next } => {
                let size = next.as_str().len();
                (Slot::Remembered { portal, next }, size)
            }
            HeldSlot::Used { portal, next } => (Slot::Used { portal, next, repeats: 0 }, 0),
            HeldSlot::Waits(waits) => {
                let asked_of = asked_of(&waits);
                let pending = waits.into_pending(browser, asked_of);
                let size = pending.next.as_str().len();
                (Slot::Waiting(Box::new(pending)), size)
            }
        };
        let mut tables = self.tables();
        let told = slot.held(key, browser, came, since);
        match tables.slot(&key, since) {
            // It is known, and has gone on meanwhile.
            Some((owner, known)) if *owner == browser => {
                *known = slot;
                tables.tell_heir(told);
            }
            Some(_) => {}
            None => tables.insert(key, (browser, came), slot, size, since),
        }
    }

    /// How many sign-ins are held.
    pub(super) fn len(&self) -> usize {
        let tables = self.tables();
        tables.newcomers.len().saturating_add(tables.returning.len())
    }

    /// The tables are sound after every single statement, so a panic elsewhere does not spoil them.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn insert(&mut self, key: Key, (browser, came): (BrowserHash, Came), slot: Slot, size: usize, now: Timestamp) {
        self.tell_heir(slot.held(key, browser, came, now));
        // About what an entry takes besides its URL.
        let bytes = size.saturating_add(512);
        let pool = match came {
            Came::WithCookie => &mut self.returning,
            Came::Without => &mut self.newcomers,
        };
        let gone = pool.insert(key, (browser, slot), bytes, now);
        let mut keys = self.browsers.get(&browser, now).cloned().unwrap_or_default();
        keys.push_back(key);
        if keys.len() > PER_BROWSER
            && let Some(oldest) = keys.pop_front()
        {
            self.newcomers.remove(&oldest);
            self.returning.remove(&oldest);
        }
        self.browsers.insert(browser, keys, 0, now);
        for (key, (browser, _)) in gone {
            self.forget(key, browser, now);
        }
    }

    /// The next process goes by what it is told last.
    fn tell_heir(&mut self, held: Option<HeldSignIn>) {
        if let (Some(heir), Some(held)) = (&self.heir, held)
            && heir.send(held).is_err()
        {
            self.heir = None;
        }
    }

    /// Drops `key` from what its browser has open.
    fn forget(&mut self, key: Key, browser: BrowserHash, now: Timestamp) {
        let Some(keys) = self.browsers.get_mut(&browser, now) else { return };
        keys.retain(|held| *held != key);
        if keys.is_empty() {
            self.browsers.remove(&browser);
        }
    }

    /// Whether that browser was given its key within [`LIFETIME`].
    fn is_new(&mut self, browser: BrowserHash, now: Timestamp) -> bool {
        let keys = self.browsers.get(&browser, now).cloned().unwrap_or_default();
        keys.iter().any(|key| self.newcomers.get(key, now).is_some())
    }

    fn slot(&mut self, key: &Key, now: Timestamp) -> Option<&mut (BrowserHash, Slot)> {
        if self.returning.get(key, now).is_some() {
            return self.returning.get_mut(key, now);
        }
        self.newcomers.get_mut(key, now)
    }
}

/// Notes `now` for that browser, unless it has had `most` within the window.
fn count(
    table: &mut Bounded<BrowserHash, VecDeque<Timestamp>>,
    browser: BrowserHash,
    most: usize,
    now: Timestamp,
) -> bool {
    let mut times = table.get(&browser, now).cloned().unwrap_or_default();
    times.retain(|time| now.since(*time) < LOOP_WINDOW);
    if times.len() >= most {
        return false;
    }
    times.push_back(now);
    table.insert(browser, times, 0, now);
    true
}

#[cfg(test)]
mod tests {
    use super::super::browser::BrowserKey;
    use super::*;
    use crate::random::Random;

    fn browser() -> BrowserHash {
        BrowserKey::generate(&Random::default()).unwrap().hash()
    }

    fn name(text: &str) -> ProviderName {
        ProviderName::parse(text).unwrap()
    }

    fn host(text: &str) -> HostName {
        HostName::parse(text).unwrap()
    }

    fn pending(browser: BrowserHash, next: &NextUrl) -> Pending {
        Pending {
            asked_of: Weak::new(),
            provider: name("acme"),
            portal: host("our.test"),
            browser,
            session: None,
            known: None,
            next: next.clone(),
            begun: at(0),
            trial: None,
            asked: Asked::Oidc { nonce: "nonce".into(), pkce_verifier: Secret::generated("verifier") },
        }
    }

    fn path(text: &str) -> NextUrl {
        NextUrl::parse(text).unwrap()
    }

    /// A browser with the cookie goes to the provider.
    fn hold(table: &PendingSignIns, state: &str, browser: BrowserHash, next: &NextUrl, seconds: i64) {
        table.hold(state, pending(browser, next), Came::WithCookie, at(seconds));
    }

    /// So many hits without a cookie.
    fn flood(table: &PendingSignIns, hits: u32, next: &NextUrl, seconds: i64) {
        let (provider, portal) = (name("acme"), host("our.test"));
        for hit in 0..hits {
            let (provider, portal) = (provider.clone(), portal.clone());
            let pending = Pending { provider, portal, ..pending(browser(), next) };
            table.hold(&format!("flood {hit}"), pending, Came::Without, at(seconds));
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn take(table: &PendingSignIns, state: &str, browser: BrowserHash, now: i64) -> Taken {
        table.take(state, browser, &host("our.test"), &name("acme"), at(now))
    }

    #[test]
    fn b12_a_state_is_taken_once_by_its_own_browser_portal_and_provider() {
        let (table, mine, other) = (PendingSignIns::new(10), browser(), browser());
        hold(&table, "s", mine, &path("/a"), 0);
        assert!(matches!(take(&table, "t", mine, 1), Taken::Unknown));
        assert!(matches!(take(&table, "s", other, 1), Taken::Unknown));
        assert!(matches!(table.take("s", mine, &host("their.test"), &name("acme"), at(1)), Taken::Unknown));
        assert!(matches!(take(&table, "s", mine, 1), Taken::Pending(pending) if pending.next.as_str() == "/a"));
        assert!(matches!(take(&table, "s", mine, 2), Taken::Repeated(next) if next.as_str() == "/a"));
        assert!(matches!(take(&table, "s", other, 2), Taken::Unknown));
    }

    #[test]
    fn b15_a_state_at_another_provider_is_used_up() {
        let (table, mine) = (PendingSignIns::new(10), browser());
        hold(&table, "s", mine, &path("/a"), 0);
        assert!(matches!(table.take("s", mine, &host("our.test"), &name("evil"), at(1)), Taken::OtherProvider(_)));
        assert!(matches!(take(&table, "s", mine, 1), Taken::Repeated(_)));
    }

    #[test]
    fn b12_a_state_lives_a_quarter_of_an_hour() {
        let (table, mine) = (PendingSignIns::new(10), browser());
        hold(&table, "s", mine, &path("/a"), 0);
        hold(&table, "t", mine, &path("/b"), 0);
        assert!(matches!(take(&table, "s", mine, 899), Taken::Pending(_)));
        assert!(matches!(take(&table, "t", mine, 900), Taken::Unknown));
    }

    #[test]
    fn c10_hits_without_a_cookie_do_not_push_out_people_on_their_way() {
        let (table, person, next) = (PendingSignIns::new(1000), browser(), NextUrl::root());
        // The chooser page, then the provider, with the cookie: as a browser does it.
        table.remember("handle", (person, Came::Without), host("our.test"), next.clone(), at(0));
        hold(&table, "state", person, &next, 1);
        flood(&table, 100_000, &next, 2);
        assert_eq!(table.len(), 501);
        assert!(matches!(take(&table, "state", person, 3), Taken::Pending(_)));
    }

    #[test]
    fn c10_who_is_pushed_out_begins_again_and_arrives() {
        let (table, person, next) = (PendingSignIns::new(1000), browser(), NextUrl::root());
        table.hold("first", pending(person, &next), Came::Without, at(0));
        flood(&table, 10_000, &next, 1);
        assert!(matches!(take(&table, "first", person, 2), Taken::Unknown));
        hold(&table, "second", person, &next, 3);
        flood(&table, 10_000, &next, 4);
        assert!(matches!(take(&table, "second", person, 5), Taken::Pending(_)));
    }

    #[test]
    fn c10_one_browser_has_a_handful() {
        let (table, greedy, person, next) = (PendingSignIns::new(100), browser(), browser(), NextUrl::root());
        hold(&table, "first", person, &next, 0);
        hold(&table, "second", person, &next, 0);
        for hit in 0..10_000_u32 {
            hold(&table, &format!("{hit}"), greedy, &next, 1);
        }
        assert_eq!(table.len(), 2 + PER_BROWSER);
        assert!(matches!(take(&table, "first", person, 3), Taken::Pending(_)));
        assert!(matches!(take(&table, "9999", greedy, 3), Taken::Pending(_)));
        assert!(matches!(take(&table, "1", greedy, 3), Taken::Unknown));
    }

    #[test]
    fn c10_long_urls_count_for_what_they_are() {
        let table = PendingSignIns::new(100);
        flood(&table, 1000, &path(&format!("/{}", "a".repeat(4000))), 1);
        assert!(table.len() <= 50 * 1024 / 4000, "{}", table.len());
    }

    #[test]
    fn a_handle_is_for_its_browser_and_portal_and_may_be_used_again() {
        let (table, mine) = (PendingSignIns::new(10), browser());
        let next = path("/deep");
        table.remember("h", (mine, Came::WithCookie), host("our.test"), next.clone(), at(0));
        for _ in 0..2 {
            assert_eq!(table.recall("h", mine, &host("our.test"), at(1)), Some(next.clone()));
        }
        assert_eq!(table.recall("h", browser(), &host("our.test"), at(1)), None);
        assert_eq!(table.recall("h", mine, &host("their.test"), at(1)), None);
        assert_eq!(table.recall("h", mine, &host("our.test"), at(900)), None);
        // A handle is no state, a state no handle.
        assert!(matches!(take(&table, "h", mine, 1), Taken::Unknown));
        hold(&table, "s", mine, &path("/a"), 0);
        assert_eq!(table.recall("s", mine, &host("our.test"), at(1)), None);
    }

    #[test]
    fn loops_are_told_from_bad_luck() {
        let (table, mine) = (PendingSignIns::new(10), browser());
        for _ in 0..RESTARTS {
            assert!(table.may_restart(mine, at(0)));
        }
        assert!(!table.may_restart(mine, at(59)));
        assert!(table.may_restart(mine, at(60)));
        assert!(table.may_restart(browser(), at(0)));
    }

    #[test]
    fn c10_browsers_that_leave_are_forgotten() {
        let table = PendingSignIns::new(10);
        flood(&table, 1000, &NextUrl::root(), 0);
        assert_eq!(table.tables().browsers.len(), 5);
    }
}
