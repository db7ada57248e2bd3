//! Stops logins where more of them would do harm: when the upstream answers with pages or challenges, and for a person
//! of whom it wants a CAPTCHA.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use super::{BrokerFailed, UpstreamFailed};
use crate::clock::Timestamp;

/// So many logins in a row have to meet a page before logins rest.
const PAGES: u32 = 3;
/// How long they rest at first; doubles.
const FIRST_REST: Duration = Duration::from_secs(30);
/// How long they rest at most.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// How long a person rests of whom a CAPTCHA is wanted.
const CAPTCHA_REST: Duration = Duration::from_secs(60);

/// Who may log in now.
#[derive(Debug)]
pub(super) struct LoginBreaker {
    site: Mutex<Site>,
    /// Until when people rest.
    people: LazyLock<Cache<String, Timestamp>>,
}

#[derive(Debug, Default)]
struct Site {
    pages_in_a_row: u32,
    rests: u32,
    until: Option<Timestamp>,
}

impl Default for LoginBreaker {
    fn default() -> Self {
        let cache = || Cache::builder().max_capacity(10_000).time_to_live(CAPTCHA_REST.saturating_mul(2)).build();
        Self { site: Mutex::default(), people: LazyLock::new(cache) }
    }
}

impl LoginBreaker {
    /// Lets a login begin. After a rest one login is let through to see; the others wait for how it goes.
    pub fn admit(&self, person: &str, now: Timestamp) -> Result<(), BrokerFailed> {
        if let Some(until) = self.people.get(person)
            && now < until
        {
            return Err(BrokerFailed::CaptchaRequired(person.to_owned()));
        }
        let mut site = self.site();
        match site.until {
            Some(until) if now < until => Err(BrokerFailed::LoginsPaused(until.since(now))),
            Some(_) => {
                site.until = Some(now.after(FIRST_REST));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Learns how a login went.
    pub fn note(&self, person: &str, failed: Option<&BrokerFailed>, now: Timestamp) {
        let mut site = self.site();
        match failed {
            Some(BrokerFailed::LoginBlocked | BrokerFailed::Upstream(UpstreamFailed::HtmlInsteadOfJson)) => {
                site.pages_in_a_row = site.pages_in_a_row.saturating_add(1);
                if site.pages_in_a_row >= PAGES {
                    let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(site.rests)).min(LONGEST_REST);
                    site.rests = site.rests.saturating_add(1);
                    site.until = Some(now.after(rest));
                    tracing::warn!(rest = ?rest, "the upstream answers logins with pages: logins rest");
                }
            }
            Some(BrokerFailed::BrowserHasToWalk) => {}
            // It says nothing about pages: the upstream was not reached, or is busy.
            Some(BrokerFailed::Upstream(_)) => {}
            // Nor this: the upstream may not even have been asked.
            Some(
                BrokerFailed::PasswordNeeded(_)
                | BrokerFailed::TooManyTries(_)
                | BrokerFailed::HookFailed(_)
                | BrokerFailed::Vault(_),
            ) => {}
            Some(BrokerFailed::CaptchaRequired(_)) => {
                self.people.insert(person.to_owned(), now.after(CAPTCHA_REST));
                *site = Site::default();
            }
            _ => *site = Site::default(),
        }
    }

    fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const PAGE: BrokerFailed = BrokerFailed::Upstream(UpstreamFailed::HtmlInsteadOfJson);

    fn later(seconds: u64) -> Timestamp {
        NOW.after(Duration::from_secs(seconds))
    }

    #[test]
    fn logins_rest_after_pages_and_one_tries_again() {
        let breaker = LoginBreaker::default();
        for _ in 0..PAGES {
            breaker.admit("ana", NOW).unwrap();
            breaker.note("ana", Some(&PAGE), NOW);
        }
        assert!(
            matches!(breaker.admit("bob", later(10)), Err(BrokerFailed::LoginsPaused(left)) if left.as_secs() == 20)
        );
        breaker.admit("bob", later(31)).unwrap();
        assert!(breaker.admit("ana", later(31)).is_err(), "one tries, the others wait");
        breaker.note("bob", Some(&PAGE), later(31));
        assert!(breaker.admit("bob", later(80)).is_err(), "the second rest is longer");
        breaker.admit("bob", later(92)).unwrap();
        breaker.note("bob", None, later(92));
        breaker.admit("ana", later(92)).unwrap();
    }

    #[test]
    fn one_page_among_good_answers_is_no_reason() {
        let breaker = LoginBreaker::default();
        for _ in 0..10 {
            breaker.note("ana", Some(&PAGE), NOW);
            breaker.note("ana", None, NOW);
        }
        breaker.admit("ana", NOW).unwrap();
    }

    #[test]
    fn a_captcha_stops_one_person() {
        let breaker = LoginBreaker::default();
        breaker.note("ana", Some(&BrokerFailed::CaptchaRequired("ana".into())), NOW);
        assert!(matches!(breaker.admit("ana", later(59)), Err(BrokerFailed::CaptchaRequired(_))));
        breaker.admit("bob", NOW).unwrap();
        breaker.admit("ana", later(60)).unwrap();
    }
}
