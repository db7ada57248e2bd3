//! How long metadata may be used, and when to fetch it again (SAML Metadata 2.3.1, 2.3.2, 4.3).

use std::time::Duration;

use super::duration;
use super::refused::MetadataRefused;
use crate::clock::Timestamp;
use crate::saml::instant;
use crate::saml::xml::Node;

/// Metadata is fetched again no sooner than this...
const SOONEST: Duration = Duration::from_secs(60);
/// ...and no later, whatever the file says: a key that was withdrawn should not be trusted for a year.
const LATEST: Duration = Duration::from_secs(24 * 3600);

/// How long metadata may be used, and how long without another look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// From this moment on it must not be used. `None` is for ever.
    pub valid_until: Option<Timestamp>,
    /// How long it may be kept without another look.
    pub cache_duration: Option<Duration>,
}

impl Validity {
    /// Whether it may be used at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|end| now < end)
    }

    /// When to look again, after having looked at `now`: after cacheDuration or `usual`, within 1 minute and 24 hours, and
    /// when half of the time that is left has passed.
    pub fn next_refresh(&self, now: Timestamp, usual: Duration) -> Timestamp {
        let kept = self.cache_duration.unwrap_or(usual).min(LATEST);
        let half = self.valid_until.map_or(LATEST, |end| end.since(now).checked_div(2).unwrap_or_default());
        now.after(kept.min(half).max(SOONEST))
    }

    /// The attributes of one element.
    pub(super) fn read(node: Node<'_, '_>) -> Result<Self, MetadataRefused> {
        let valid_until = match node.attribute("validUntil") {
            Some(text) => Some(instant::parse(text).ok_or(MetadataRefused::Attribute("validUntil"))?),
            None => None,
        };
        let cache_duration = match node.attribute("cacheDuration") {
            Some(text) => Some(duration::parse(text).ok_or(MetadataRefused::Attribute("cacheDuration"))?),
            None => None,
        };
        Ok(Self { valid_until, cache_duration })
    }

    /// The shorter of both, for an element in another.
    pub(super) fn within(self, outer: Self) -> Self {
        let sooner = |a: Option<Timestamp>, b: Option<Timestamp>| a.into_iter().chain(b).min();
        let shorter = |a: Option<Duration>, b: Option<Duration>| a.into_iter().chain(b).min();
        Self {
            valid_until: sooner(self.valid_until, outer.valid_until),
            cache_duration: shorter(self.cache_duration, outer.cache_duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a74_the_next_look_is_soon_enough_and_not_too_soon() {
        let next = |valid_for: Option<u64>, cache: Option<u64>| {
            let valid_until = valid_for.map(|seconds| NOW.after(Duration::from_secs(seconds)));
            let validity = Validity { valid_until, cache_duration: cache.map(Duration::from_secs) };
            validity.next_refresh(NOW, HOUR).since(NOW).as_secs()
        };
        assert_eq!(next(None, None), 3_600);
        assert_eq!(next(None, Some(600)), 600);
        assert_eq!(next(None, Some(0)), 60);
        assert_eq!(next(None, Some(u64::MAX)), 86_400);
        assert_eq!(next(Some(1_000), None), 500);
        assert_eq!(next(Some(10), None), 60);
        assert_eq!(next(Some(10_000_000), Some(10_000_000)), 86_400);
    }

    #[test]
    fn a74_the_end_is_exact() {
        let validity = Validity { valid_until: Some(NOW), cache_duration: None };
        assert!(validity.holds(NOW.before(Duration::from_millis(1))) && !validity.holds(NOW));
        assert!(Validity::default().holds(NOW));
    }
}
