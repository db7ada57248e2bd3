//! One attempt at one host: whatever it needs is ordered, if it is this gateway's turn.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{Account, CertificateIdentifier, Error};

use super::{AcmeEvent, Shared};
use crate::acme::answers::Answer;
use crate::acme::directory::Directory;
use crate::acme::issued::{Issued, WantedCertificate};
use crate::acme::lease::Claim;
use crate::acme::order::{Delivered, OneOrder, Publish};
use crate::acme::plan::{Chance, not_at_once, pause, renew_at, renew_within};
use crate::acme::problem::{OrderFailed, plain};
use crate::acme::records::{CertificateRecord, OrderRecord};
use crate::acme::settings::ChallengeKind;
use crate::clock::Timestamp;
use crate::portal::HostName;
use crate::random::NoRandomness;
use crate::session::envelope::Envelope;
use crate::session::{Change, RecordError, StoreError};

/// How long the authority is not told of an answer, so that every gateway has looked at the board.
const SPREAD: Duration = Duration::from_secs(3);
/// An answer that nobody took down is over then.
const OVER: Duration = Duration::from_secs(15 * 60);
/// When the store or another gateway is in the way.
const SOON: Duration = Duration::from_secs(5);

/// An attempt at one host.
pub(super) struct Attempt {
    shared: Arc<Shared>,
    host: HostName,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Nothing is tried before then.
    pub not_before: Option<Timestamp>,
    /// What stands in the way.
    pub failed: Option<String>,
}

/// What is to be done for one certificate.
enum Need {
    /// Order one; in place of this one, where the authority wants to know.
    Order(Option<CertificateIdentifier<'static>>),
    /// Ask whether the authority suggests another time to renew it.
    Ask(CertificateRecord, Issued),
}

impl Attempt {
    pub fn new(shared: Arc<Shared>, host: HostName) -> Self {
        Self { shared, host }
    }

    pub async fn make(&self) -> Outcome {
        let Ok(_turn) = self.shared.turns.acquire().await else { return Outcome::default() };
        let desk = &self.shared.desk;
        let record = match desk.claim(&self.host).await {
            Ok(Claim::Ours(record)) => record,
            Ok(Claim::Later(at, record)) => {
                let failed = record.failed.map(|(_, sentence)| sentence);
                // Whoever works on it may be done, or may fail, before the lease is over.
                let at = if record.lease.is_some() { at.min(self.later(SOON)) } else { at };
                return Outcome { not_before: Some(at), failed };
            }
            Err(error) => return self.not_now(&error.into()),
        };
        let outcome = tokio::select! {
            outcome = self.serve_all_needs(&record) => outcome,
            lost = desk.hold(&self.host) => Err(lost),
        };
        match outcome {
            Ok(()) => match desk.let_go(&self.host).await {
                Ok(_) => Outcome::default(),
                Err(error) => self.not_now(&error.into()),
            },
            Err(failed) => self.has_failed(&failed, &record).await,
        }
    }

    async fn serve_all_needs(&self, record: &OrderRecord) -> Result<(), OrderFailed> {
        let mut account = None;
        for key_type in &self.shared.settings.key_types {
            let wanted = WantedCertificate { host: self.host.clone(), key_type: *key_type };
            let Some(need) = self.need(&wanted).await? else { continue };
            let directory = self.shared.directory.of_one_order();
            let account = match &account {
                Some(account) => account,
                None => account.insert(self.account(&directory).await?),
            };
            match need {
                Need::Order(replaces) => self.order(&wanted, replaces, account, &directory, record).await?,
                Need::Ask(record, issued) => self.ask(&wanted, record, &issued, account).await?,
            }
        }
        Ok(())
    }

    /// What is to be done for a certificate, by what the store says now: another gateway may just have done it.
    async fn need(&self, wanted: &WantedCertificate) -> Result<Option<Need>, OrderFailed> {
        let desk = &self.shared.desk;
        let record = match desk.records.load::<CertificateRecord>(&desk.names.certificate(wanted)).await {
            Ok(Some(record)) => record,
            Ok(None) | Err(RecordError::Unreadable) => return Ok(Some(Need::Order(None))),
            Err(error) => return Err(error.into()),
        };
        let key = record.key.open(&desk.names.place_of_key(wanted));
        let Some(Ok(issued)) = key.map(|key| Issued::read(wanted, &record.chain, &key)) else {
            return Ok(Some(Need::Order(None)));
        };
        let now = desk.clock.now();
        if now >= record.renew_at {
            let knows = record.ask_at.is_some(); // it told when to renew this one
            let id = issued.leaf().filter(|_| knows).and_then(|leaf| CertificateIdentifier::try_from(leaf).ok());
            return Ok(Some(Need::Order(id.map(CertificateIdentifier::into_owned))));
        }
        Ok(record.ask_at.filter(|ask_at| now >= *ask_at).map(|_| Need::Ask(record, issued)))
    }

    async fn account(&self, directory: &Directory) -> Result<Account, OrderFailed> {
        let _one_at_a_time = self.shared.account.lock().await;
        self.shared.accounts().get(directory).await
    }

    /// Orders one certificate; by another challenge, when the first one fails.
    async fn order(
        &self,
        wanted: &WantedCertificate,
        replaces: Option<CertificateIdentifier<'static>>,
        account: &Account,
        directory: &Directory,
        record: &OrderRecord,
    ) -> Result<(), OrderFailed> {
        let settings = &self.shared.settings;
        let mut challenges = settings.challenges.clone();
        // What worked last is tried first.
        challenges.sort_by_key(|kind| record.worked.is_some() && Some(*kind) != record.worked);
        let mut failed = OrderFailed::NoChallenge;
        for challenge in challenges {
            let answers = Posted { attempt: self, kind: challenge };
            let profile = settings.profile.as_deref();
            let replaces = replaces.clone();
            let order = OneOrder { account, directory, wanted, challenge, profile, replaces, answers: &answers };
            match order.carry_out().await {
                Ok(delivered) => return self.keep(wanted, delivered, challenge, account).await,
                Err(why @ (OrderFailed::Challenge { .. } | OrderFailed::NoChallenge)) => {
                    tracing::warn!(%wanted, challenge = challenge.name(), failed = %why, "a challenge was not met");
                    failed = match failed {
                        // The first that was really tried says more than "not offered".
                        OrderFailed::Challenge { kind, what } if matches!(why, OrderFailed::NoChallenge) => {
                            OrderFailed::Challenge { kind, what }
                        }
                        _ => why,
                    };
                    self.take_down().await;
                }
                Err(why) => return Err(why),
            }
        }
        Err(failed)
    }

    /// Keeps what was delivered, for everybody.
    async fn keep(
        &self,
        wanted: &WantedCertificate,
        delivered: Delivered,
        worked: ChallengeKind,
        account: &Account,
    ) -> Result<(), OrderFailed> {
        let Shared { settings, desk, random, observer, .. } = &*self.shared;
        let Delivered { chain, key, issued } = delivered;
        let (now, begins, ends) = (desk.clock.now(), issued.begins, issued.ends);
        if ends <= now {
            return Err(OrderFailed::Unusable(
                "what was issued is over already: is this machine's clock right?".to_owned(),
            ));
        }
        let sealed = Envelope::seal(&key, &desk.names.place_of_key(wanted), random);
        let key = sealed.map_err(|error| OrderFailed::Store(StoreError::from(error).to_string()))?;
        let renew_at = not_at_once(renew_at(begins, ends, settings.renew_before, self.chance()?), now, ends);
        let mut record = CertificateRecord { chain, key, begins, ends, renew_at, ask_at: None };
        // What the authority suggests is no reason to lose what it has issued.
        if let Ok(suggested) = self.suggestion(&issued, account).await {
            record.ask_at = suggested.ask_at;
            // Not at once again, whatever it says.
            let soonest = now.after(Duration::from_secs(3600));
            record.renew_at = suggested.renew_at.map_or(renew_at, |suggested| suggested.max(soonest).min(renew_at));
        }
        if !desk.deliver(wanted, &record, Some(worked)).await? {
            return Err(OrderFailed::LeaseLost);
        }
        observer.note(&AcmeEvent::Issued);
        tracing::info!(%wanted, %ends, renewed = %record.renew_at, "a certificate was issued");
        Ok(())
    }

    /// Asks when a certificate should be renewed, and keeps what is said.
    async fn ask(
        &self,
        wanted: &WantedCertificate,
        record: CertificateRecord,
        issued: &Issued,
        account: &Account,
    ) -> Result<(), OrderFailed> {
        let desk = &self.shared.desk;
        let suggested = match self.suggestion(issued, account).await {
            Ok(suggested) => suggested,
            // It is asked again, and renewed in time without.
            Err(_) => Suggestion { renew_at: None, ask_at: Some(self.later(Duration::from_secs(3600))) },
        };
        let seen = desk.records.see::<CertificateRecord>(&desk.names.certificate(wanted)).await?;
        if seen.record.is_none_or(|now| now.chain != record.chain) {
            return Ok(()); // another one by now
        }
        let renew_at = suggested.renew_at.map_or(record.renew_at, |suggested| suggested.min(record.renew_at));
        let changed = CertificateRecord { renew_at, ask_at: suggested.ask_at, ..record };
        let change = vec![Change::put(desk.names.certificate(wanted), &changed)?];
        if desk.records.change_if(&[&seen.unchanged], change).await? {
            desk.put_board(|board| board.generation = board.generation.wrapping_add(1)).await?;
        }
        Ok(())
    }

    /// When the authority suggests to renew a certificate (RFC 9773).
    async fn suggestion(&self, issued: &Issued, account: &Account) -> Result<Suggestion, OrderFailed> {
        let id = issued.leaf().and_then(|leaf| CertificateIdentifier::try_from(leaf).ok());
        let Some(id) = id else { return Ok(Suggestion::default()) };
        match account.renewal_info(&id).await {
            Ok((info, again)) => {
                let window = &info.suggested_window;
                let (start, end) = (window.start.unix_timestamp(), window.end.unix_timestamp());
                let window = (Timestamp::from_seconds(start), Timestamp::from_seconds(end));
                if let Some(why) = &info.explanation_url {
                    tracing::info!(wanted = %issued.wanted, why = %plain(why), "the authority explains when to renew");
                }
                let renew_at = renew_within(window, (issued.begins, issued.ends), self.chance()?);
                let again = again.clamp(Duration::from_secs(60), Duration::from_secs(24 * 3600));
                Ok(Suggestion { renew_at: Some(renew_at), ask_at: Some(self.later(again)) })
            }
            Err(Error::Unsupported(_)) => Ok(Suggestion::default()),
            Err(error) => Err(OrderFailed::of(error, None)),
        }
    }

    /// The order has failed: everybody waits for a while, the longer the more often it has.
    async fn has_failed(&self, failed: &OrderFailed, record: &OrderRecord) -> Outcome {
        let Shared { desk, observer, .. } = &*self.shared;
        observer.note(&AcmeEvent::Failed(failed));
        if *failed == OrderFailed::LeaseLost {
            return self.not_now(failed);
        }
        self.take_down().await;
        if matches!(failed, OrderFailed::Account(_))
            && let Err(error) = self.shared.accounts().forget().await
        {
            tracing::warn!(%error, "the account that the authority does not know could not be forgotten");
        }
        let chance = self.chance().unwrap_or(Chance(0));
        let not_before = self.later(pause(failed, record.failures.saturating_add(1), chance));
        tracing::error!(host = %self.host, reason = failed.label(), %failed, again = %not_before, "no certificate was issued");
        if let Err(error) = desk.failed(&self.host, failed, not_before).await {
            tracing::warn!(%error, "that an order has failed could not be written down");
        }
        Outcome { not_before: Some(not_before), failed: Some(failed.to_string()) }
    }

    /// Something of ours is in the way.
    fn not_now(&self, failed: &OrderFailed) -> Outcome {
        tracing::warn!(host = %self.host, %failed, "a certificate could not be ordered now");
        Outcome { not_before: Some(self.later(SOON)), failed: Some(failed.to_string()) }
    }

    /// Takes the answers for this host down again.
    async fn take_down(&self) {
        let now = self.shared.desk.clock.now();
        let put = self.shared.desk.put_board(|board| {
            board.answers.retain(|answer| answer.host != self.host && answer.until > now);
        });
        if let Err(error) = put.await {
            tracing::warn!(%error, "the answer to a challenge could not be taken down");
        }
    }

    fn later(&self, by: Duration) -> Timestamp {
        self.shared.desk.clock.now().after(by)
    }

    fn chance(&self) -> Result<Chance, NoRandomness> {
        Ok(Chance(u16::from_be_bytes(self.shared.random.bytes()?)))
    }
}

/// When to renew a certificate, by the authority.
#[derive(Debug, Default)]
struct Suggestion {
    renew_at: Option<Timestamp>,
    ask_at: Option<Timestamp>,
}

/// Puts answers on the board.
struct Posted<'a> {
    attempt: &'a Attempt,
    kind: ChallengeKind,
}

impl Publish for Posted<'_> {
    async fn publish(&self, token: &str, key_authorization: &str) -> Result<(), OrderFailed> {
        let Attempt { shared, host } = self.attempt;
        let answer = Answer {
            kind: self.kind,
            host: host.clone(),
            token: token.to_owned(),
            key_authorization: key_authorization.to_owned(),
            until: self.attempt.later(OVER),
        };
        let now = shared.desk.clock.now();
        let put = shared.desk.put_board(|board| {
            board.answers.retain(|other| other.host != answer.host && other.until > now);
            board.answers.push(answer.clone());
        });
        if !put.await? {
            return Err(OrderFailed::Store("too many gateways write at the same time".to_owned()));
        }
        tokio::time::sleep(SPREAD).await;
        Ok(())
    }
}
