//! Test sign-ins: an operator walks a real one, to see what a provider sends and what becomes of it. It opens no session.
//!
//! Owns those that are under way and what came of them, for minutes, in memory. Two names that cannot be guessed keep the
//! two sides apart: the ticket begins the sign-in on the public side, once; the trial's id shows the result, and only on
//! the operator's side. Nobody who has one of them learns the other.

mod report;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::report::{Fact, Refused, Report};
pub(in crate::sign_in) use self::report::{unverified, verified};

use super::VerifiedIdentity;
use super::bounded::Bounded;
use super::browser::{is_token, sha256};
use crate::clock::{Clock, Timestamp};
use crate::ids::ProviderName;
use crate::portal::HostName;
use crate::random::{NoRandomness, Random};

/// Where the browser that walked a trial ends up. Nothing begins there.
pub const OVER: &str = "/.vestibule/test-sign-in/over";
/// Below this, tickets are taken.
pub const TICKETS: &str = "/.vestibule/test-sign-in/";

/// How long a ticket and a result are kept.
pub const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How many trials are kept; a further one takes the place of the oldest.
const KEPT: usize = 64;

/// Names a trial on the operator's side. Only its hash is kept here.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrialId([u8; 32]);

/// A trial has been prepared.
pub struct Prepared {
    /// Shows its state and its result, on the operator's side.
    pub id: String,
    /// Begins it, once, on the public side.
    pub ticket: String,
}

/// A trial, and how far it has come.
#[derive(Clone, Debug)]
pub struct Trial {
    /// At which portal.
    pub portal: HostName,
    /// At which provider.
    pub provider: ProviderName,
    /// How far it has come.
    pub state: TrialState,
}

/// How far a trial has come.
#[derive(Clone, Debug)]
pub enum TrialState {
    /// The link has not been opened.
    Prepared {
        /// Begins it.
        ticket: String,
    },
    /// The browser is on its way to the provider, there, or on its way back.
    UnderWay {
        /// Since when.
        since: Timestamp,
    },
    /// It has ended.
    Ended(Arc<Ended>),
}

/// What came of a trial.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The sign-in.
    pub report: Report,
    /// Why the portal does not admit them, when it would have been believed and does not.
    pub not_admitted: Option<Refused>,
}

/// All test sign-ins.
pub struct Trials {
    tables: Mutex<Tables>,
    clock: Clock,
    random: Random,
}

struct Tables {
    trials: Bounded<TrialId, Trial>,
    tickets: Bounded<[u8; 32], TrialId>,
}

impl Trials {
    /// None yet.
    pub fn new(clock: Clock, random: Random) -> Self {
        let (trials, tickets) = (Bounded::new(KEPT, usize::MAX, LIFETIME), Bounded::new(KEPT, usize::MAX, LIFETIME));
        Self { tables: Mutex::new(Tables { trials, tickets }), clock, random }
    }

    /// Prepares one.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn prepare(&self, portal: HostName, provider: ProviderName) -> Result<Prepared, NoRandomness> {
        let (id, ticket, now) = (self.random.token()?, self.random.token()?, self.clock.now());
        let trial = Trial { portal, provider, state: TrialState::Prepared { ticket: ticket.clone() } };
        let mut tables = self.lock();
        tables.trials.insert(TrialId(sha256(&id)), trial, 0, now);
        tables.tickets.insert(sha256(&ticket), TrialId(sha256(&id)), 0, now);
        Ok(Prepared { id, ticket })
    }

    /// Takes a ticket, once, at the portal that it is for: the trial that begins, and its provider.
    pub fn redeem(&self, ticket: &str, portal: &HostName) -> Option<(TrialId, ProviderName)> {
        let (mut tables, now) = (self.lock(), self.clock.now());
        let key = is_token(ticket).then(|| sha256(ticket))?;
        let id = *tables.tickets.get(&key, now)?;
        let trial = tables.trials.get_mut(&id, now).filter(|trial| trial.portal == *portal)?;
        trial.state = TrialState::UnderWay { since: now };
        let provider = trial.provider.clone();
        tables.tickets.remove(&key);
        Some((id, provider))
    }

    /// Keeps what came of a trial, unless it is too old by now. `admit` says why the portal does not admit somebody.
    pub fn end(&self, id: TrialId, report: Report, admit: impl FnOnce(&VerifiedIdentity) -> Option<Refused>) {
        let not_admitted = report.outcome.as_ref().ok().and_then(|identity| admit(identity));
        let (mut tables, now) = (self.lock(), self.clock.now());
        if let Some(trial) = tables.trials.get_mut(&id, now) {
            trial.state = TrialState::Ended(Arc::new(Ended { report, not_admitted }));
        }
    }

    /// The trial of that id.
    pub fn find(&self, id: &str) -> Option<Trial> {
        let id = is_token(id).then(|| TrialId(sha256(id)))?;
        self.lock().trials.get(&id, self.clock.now()).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for TrialId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TrialId(..)")
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepared(..)")
    }
}

impl std::fmt::Debug for Trials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trials({})", self.lock().trials.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn trials() -> (Trials, Clock) {
        let clock = Clock::manual(NOW);
        (Trials::new(clock.clone(), Random::default()), clock)
    }

    fn host(name: &str) -> HostName {
        HostName::parse(name).unwrap()
    }

    fn prepare(trials: &Trials) -> Prepared {
        trials.prepare(host("portal.example"), ProviderName::parse("adfs").unwrap()).unwrap()
    }

    fn report() -> Report {
        Report::refused(NOW, Vec::new(), "saml_replayed", "the assertion was used before".into())
    }

    #[test]
    fn a_ticket_begins_one_trial_once_at_its_portal() {
        let (trials, _) = trials();
        let Prepared { id, ticket } = prepare(&trials);
        assert!(matches!(trials.find(&id).unwrap().state, TrialState::Prepared { ticket: of } if of == ticket));
        assert!(trials.redeem(&ticket, &host("other.example")).is_none());
        let (trial, provider) = trials.redeem(&ticket, &host("portal.example")).unwrap();
        assert_eq!(provider.as_str(), "adfs");
        assert!(trials.redeem(&ticket, &host("portal.example")).is_none(), "a ticket is used once");
        assert!(matches!(trials.find(&id).unwrap().state, TrialState::UnderWay { since: NOW }));
        trials.end(trial, report(), |_| None);
        assert!(matches!(trials.find(&id).unwrap().state, TrialState::Ended(_)));
    }

    #[test]
    fn the_two_sides_names_do_not_lead_to_each_other() {
        let (trials, _) = trials();
        let Prepared { id, ticket } = prepare(&trials);
        assert_ne!(id, ticket);
        assert!(trials.find(&ticket).is_none());
        assert!(trials.redeem(&id, &host("portal.example")).is_none());
        for odd in ["", "x", "../..", &"A".repeat(44)] {
            assert!(trials.find(odd).is_none() && trials.redeem(odd, &host("portal.example")).is_none(), "{odd}");
        }
        assert!(!format!("{trials:?}{:?}", Prepared { id: id.clone(), ticket }).contains(&id));
    }

    #[test]
    fn tickets_and_results_are_forgotten_and_bounded() {
        let (trials, clock) = trials();
        let (first, second) = (prepare(&trials), prepare(&trials));
        let (trial, _) = trials.redeem(&first.ticket, &host("portal.example")).unwrap();
        clock.advance(LIFETIME);
        trials.end(trial, report(), |_| None);
        assert!(trials.find(&first.id).is_none(), "too late");
        assert!(trials.redeem(&second.ticket, &host("portal.example")).is_none());
        let many: Vec<_> = (0..=KEPT).map(|_| prepare(&trials)).collect();
        assert!(trials.find(&many[0].id).is_none());
        assert!(many[1..].iter().all(|one| trials.find(&one.id).is_some()));
    }
}
