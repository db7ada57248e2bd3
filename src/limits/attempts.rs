//! How often one address may try to sign in.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::Timestamp;
use crate::portal::settings::Rate;

/// Addresses that are remembered; the ones not seen for longest are forgotten first.
const REMEMBERED: u64 = 100_000;

/// Attempts by address, as a leaky bucket: all at once, then one each time that the rate allows.
#[derive(Debug)]
pub struct Attempts {
    rate: Rate,
    /// When each address would have nothing behind it any more.
    settled: Cache<IpAddr, Arc<AtomicI64>>,
}

/// Too many, until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins were tried from this address")]
pub struct TooManyAttempts {
    /// When one more is allowed.
    pub until: Timestamp,
}

impl Attempts {
    /// At most so many.
    pub fn new(rate: Rate) -> Self {
        Self::remembering(rate, REMEMBERED)
    }

    fn remembering(rate: Rate, addresses: u64) -> Self {
        let settled = Cache::builder().max_capacity(addresses).eviction_policy(EvictionPolicy::lru()).build();
        Self { rate, settled }
    }

    /// Notes an attempt, if it is allowed.
    ///
    /// # Errors
    /// When it is not; it then counts for nothing.
    pub fn note(&self, client: IpAddr, now: Timestamp) -> Result<(), TooManyAttempts> {
        let whole = i64::try_from(self.rate.per.as_millis()).unwrap_or(i64::MAX);
        let each = whole.checked_div(i64::from(self.rate.times.max(1))).unwrap_or(0).max(1);
        let settled = self.settled.get_with(of_one_visitor(client), || Arc::new(AtomicI64::new(i64::MIN)));
        let step = |before: i64| {
            let after = before.max(now.millis()).saturating_add(each);
            (after.saturating_sub(now.millis()) <= whole).then_some(after)
        };
        match settled.fetch_update(Ordering::AcqRel, Ordering::Acquire, step) {
            Ok(_) => Ok(()),
            Err(before) => {
                let until = before.saturating_add(each).saturating_sub(whole);
                Err(TooManyAttempts { until: Timestamp::from_millis(until) })
            }
        }
    }
}

/// One visitor has a whole /64 of IPv6 to choose addresses from.
pub fn of_one_visitor(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn attempts() -> Attempts {
        Attempts::new(Rate { times: 20, per: Duration::from_secs(60) })
    }

    #[test]
    fn so_many_at_once_and_then_one_each_time() {
        let attempts = attempts();
        let client = "203.0.113.9".parse().unwrap();
        for _ in 0..20 {
            assert_eq!(attempts.note(client, at(100)), Ok(()));
        }
        assert_eq!(attempts.note(client, at(100)), Err(TooManyAttempts { until: at(103) }));
        assert_eq!(
            attempts.note(client, at(102)),
            Err(TooManyAttempts { until: at(103) }),
            "refused ones do not count"
        );
        assert_eq!(attempts.note(client, at(103)), Ok(()));
        assert_eq!(attempts.note(client, at(103)), Err(TooManyAttempts { until: at(106) }));
        assert_eq!(attempts.note("203.0.113.10".parse().unwrap(), at(103)), Ok(()), "somebody else");
        for _ in 0..20 {
            assert_eq!(attempts.note(client, at(1000)), Ok(()));
        }
        assert!(attempts.note(client, at(999)).is_err(), "a clock that jumps back gives nothing away");
    }

    #[test]
    fn ipv6_counts_by_64_bits_and_ipv4_in_either_form() {
        let attempts = attempts();
        for n in 0..20 {
            assert_eq!(attempts.note(format!("2001:db8:0:1::{n}").parse().unwrap(), at(0)), Ok(()));
        }
        assert!(attempts.note("2001:db8:0:1:ffff::1".parse().unwrap(), at(0)).is_err());
        assert_eq!(attempts.note("2001:db8:0:2::1".parse().unwrap(), at(0)), Ok(()));
        for _ in 0..20 {
            assert_eq!(attempts.note("::ffff:203.0.113.9".parse().unwrap(), at(0)), Ok(()));
        }
        assert!(attempts.note("203.0.113.9".parse().unwrap(), at(0)).is_err());
    }

    #[test]
    fn c10_memory_is_bounded() {
        let rate = Rate { times: 1, per: Duration::from_secs(60) };
        let attempts = Attempts::remembering(rate, 1000);
        for n in 0..20_000_u32 {
            let _ = attempts.note(IpAddr::V4(n.into()), at(0));
        }
        attempts.settled.run_pending_tasks();
        assert!(attempts.settled.entry_count() <= 1000, "{}", attempts.settled.entry_count());
    }
}
