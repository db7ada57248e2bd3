//! A document of the provider's, fetched when it is needed: one fetch at a time, the last good one kept while the
//! provider is down, and nobody waits for an answer that has just failed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::rejected::ProviderFault;
use crate::clock::{Clock, Timestamp};

/// After a failed fetch, everybody is told of that failure for this long.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// With a good document at hand, a failed refresh is tried again after this long.
const RETRY_REFRESH: Duration = Duration::from_secs(30);

/// A stranger's token can make us look for a newer document this often at most.
const ON_DEMAND: Duration = Duration::from_secs(10);

/// One document.
pub(super) struct Cached<T> {
    /// Fetched again when it is older.
    max_age: Duration,
    /// Not used any more when it is older, even if no newer one can be had.
    usable_for: Duration,
    held: ArcSwapOption<Held<T>>,
    attempts: Mutex<Attempts>,
}

pub(super) struct Held<T> {
    pub(super) value: T,
    fetched: Timestamp,
    generation: u64,
}

#[derive(Default)]
struct Attempts {
    failed: Option<(Timestamp, ProviderFault)>,
    on_demand: Option<Timestamp>,
    generation: u64,
}

impl<T> Cached<T> {
    pub(super) fn new(max_age: Duration, usable_for: Duration) -> Self {
        Self { max_age, usable_for, held: ArcSwapOption::empty(), attempts: Mutex::new(Attempts::default()) }
    }

    /// The document: at hand, or fetched by whoever comes first while the others wait.
    ///
    /// # Errors
    /// When there is none at hand and it cannot be fetched.
    pub(super) async fn get<F>(&self, clock: &Clock, fetch: impl FnOnce() -> F) -> Result<Arc<Held<T>>, ProviderFault>
    where
        F: Future<Output = Result<T, ProviderFault>>,
    {
        let now = clock.now();
        let usable = self.usable(now);
        let mut attempts = match usable {
            Some(held) if now.since(held.fetched) < self.max_age => return Ok(held),
            Some(held) => {
                // Somebody else refreshes it already: what is at hand will do.
                let Ok(attempts) = self.attempts.try_lock() else { return Ok(held) };
                if attempts.failed.as_ref().is_some_and(|(at, _)| now.since(*at) < RETRY_REFRESH) {
                    return Ok(held);
                }
                attempts
            }
            None => {
                let attempts = self.attempts.lock().await;
                if let Some((at, fault)) = &attempts.failed
                    && now.since(*at) < AFTER_FAILURE
                {
                    return Err(fault.clone());
                }
                attempts
            }
        };
        // Fetched while we waited.
        let usable = self.usable(now);
        if let Some(held) = usable.as_ref().filter(|held| now.since(held.fetched) < self.max_age) {
            return Ok(Arc::clone(held));
        }
        match self.fetch(&mut attempts, clock, fetch).await {
            Ok(held) => Ok(held),
            Err(fault) => usable.ok_or(fault),
        }
    }

    /// A newer document than `seen`, because that one lacks something; `None` when there is none to be had now.
    pub(super) async fn newer<F>(
        &self,
        seen: &Held<T>,
        clock: &Clock,
        fetch: impl FnOnce() -> F,
    ) -> Result<Option<Arc<Held<T>>>, ProviderFault>
    where
        F: Future<Output = Result<T, ProviderFault>>,
    {
        let mut attempts = self.attempts.lock().await;
        let now = clock.now();
        if let Some(held) = self.usable(now).filter(|held| held.generation > seen.generation) {
            return Ok(Some(held));
        }
        if attempts.on_demand.is_some_and(|at| now.since(at) < ON_DEMAND) {
            return Ok(None);
        }
        attempts.on_demand = Some(now);
        self.fetch(&mut attempts, clock, fetch).await.map(Some)
    }

    /// The document at hand, without a fetch.
    pub(super) fn usable(&self, now: Timestamp) -> Option<Arc<Held<T>>> {
        self.held.load_full().filter(|held| now.since(held.fetched) < self.usable_for)
    }

    async fn fetch<F>(
        &self,
        attempts: &mut Attempts,
        clock: &Clock,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<Held<T>>, ProviderFault>
    where
        F: Future<Output = Result<T, ProviderFault>>,
    {
        let asked = clock.now();
        match fetch().await {
            Ok(value) => {
                attempts.failed = None;
                attempts.generation = attempts.generation.saturating_add(1);
                let held = Arc::new(Held { value, fetched: asked, generation: attempts.generation });
                self.held.store(Some(Arc::clone(&held)));
                Ok(held)
            }
            Err(fault) => {
                // It may have taken a while to fail.
                attempts.failed = Some((clock.now(), fault.clone()));
                Err(fault)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Source {
        cached: Cached<u32>,
        fetches: AtomicU32,
    }

    impl Source {
        fn new() -> Arc<Self> {
            let cached = Cached::new(Duration::from_secs(100), Duration::from_secs(1000));
            Arc::new(Self { cached, fetches: AtomicU32::new(0) })
        }

        async fn get(&self, seconds: i64, up: bool) -> Result<u32, ProviderFault> {
            let clock = Clock::manual(Timestamp::from_seconds(seconds));
            self.cached.get(&clock, || self.fetch(up)).await.map(|held| held.value)
        }

        async fn newer(&self, seen: &Held<u32>, seconds: i64) -> Option<u32> {
            let clock = Clock::manual(Timestamp::from_seconds(seconds));
            self.cached.newer(seen, &clock, || self.fetch(true)).await.unwrap().map(|held| held.value)
        }

        async fn fetch(&self, up: bool) -> Result<u32, ProviderFault> {
            tokio::task::yield_now().await;
            let number = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
            if up { Ok(number) } else { Err(ProviderFault::Unreachable("down".into())) }
        }

        fn fetches(&self) -> u32 {
            self.fetches.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn many_ask_and_one_fetches() {
        for up in [true, false] {
            let source = Source::new();
            let all = (0..50).map(|_| {
                let source = Arc::clone(&source);
                tokio::spawn(async move { source.get(0, up).await.is_ok() })
            });
            for one in all.collect::<Vec<_>>() {
                assert_eq!(one.await.unwrap(), up);
            }
            assert_eq!(source.fetches(), 1, "up: {up}");
        }
    }

    #[tokio::test]
    async fn the_last_good_one_is_kept_while_the_provider_is_down_but_not_for_ever() {
        let source = Source::new();
        assert_eq!(source.get(0, true).await, Ok(1));
        assert_eq!(source.get(99, true).await, Ok(1));
        assert_eq!(source.get(100, false).await, Ok(1));
        assert_eq!(source.get(129, true).await, Ok(1));
        assert_eq!(source.fetches(), 2);
        assert_eq!(source.get(130, true).await, Ok(3));
        assert!(source.get(1130, false).await.is_err());
        assert!(source.get(1131, true).await.is_err());
        assert_eq!(source.get(1132, true).await, Ok(5));
    }

    #[tokio::test]
    async fn a_slow_failure_counts_from_its_end() {
        let (source, clock) = (Source::new(), Clock::manual(Timestamp::from_seconds(0)));
        for _ in 0..2 {
            let slow = || async {
                clock.advance(Duration::from_secs(5));
                source.fetch(false).await
            };
            assert!(source.cached.get(&clock, slow).await.is_err());
        }
        assert_eq!(source.fetches(), 1);
    }

    #[tokio::test]
    async fn b4_a_newer_one_is_looked_for_at_once_and_then_seldom() {
        let source = Source::new();
        let fetch = || source.fetch(true);
        let seen = source.cached.get(&Clock::manual(Timestamp::from_seconds(0)), fetch).await.unwrap();
        assert_eq!(source.newer(&seen, 1).await, Some(2));
        // Somebody who has seen only the first gets the second without a fetch.
        assert_eq!(source.newer(&seen, 1).await, Some(2));
        let second = source.cached.usable(Timestamp::from_seconds(1)).unwrap();
        assert_eq!(source.newer(&second, 10).await, None);
        assert_eq!(source.newer(&second, 11).await, Some(3));
        assert_eq!(source.fetches(), 3);
    }
}
