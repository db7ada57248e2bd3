//! Who orders for a host: one gateway at a time, of all that share the session store.

use std::time::Duration;

use super::issued::WantedCertificate;
use super::problem::OrderFailed;
use super::records::{Board, CertificateRecord, Lease, Names, OrderRecord};
use super::settings::ChallengeKind;
use crate::clock::{Clock, Timestamp};
use crate::portal::HostName;
use crate::session::{Change, RecordError, Records, Seen};

/// Who has died over an order leaves it to others after this long.
const LEASE: Duration = Duration::from_secs(60);
/// Who works on one says so this often, by the clock on the wall of the machine.
pub(super) const RENEWED: Duration = Duration::from_secs(15);
/// How often a change is tried that others come in between of.
const TRIES: usize = 20;

/// The desk at which orders are claimed.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub records: Records,
    pub names: Names,
    /// The name that this gateway goes by.
    pub me: String,
    pub clock: Clock,
}

/// What came of an attempt to claim an order.
#[derive(Debug)]
pub(super) enum Claim {
    /// It is ours.
    Ours(OrderRecord),
    /// Not before then.
    Later(Timestamp, OrderRecord),
}

impl Desk {
    /// Takes up what is to be ordered for `host`, where nobody works on it and its time has come. One order for a host at a time: an
    /// authority that asks for the answer to a handshake cannot say which one it means.
    ///
    /// # Errors
    /// When the store does not do its part.
    pub async fn claim(&self, host: &HostName) -> Result<Claim, RecordError> {
        let name = self.names.order(host);
        let Seen { record, unchanged, .. } = self.records.see::<OrderRecord>(&name).await?;
        let (record, now) = (record.unwrap_or_default(), self.clock.now());
        if let Some(lease) = &record.lease
            && lease.until > now
            && lease.holder != self.me
        {
            return Ok(Claim::Later(lease.until, record));
        }
        if let Some(not_before) = record.not_before.filter(|not_before| *not_before > now) {
            return Ok(Claim::Later(not_before, record));
        }
        let claimed = OrderRecord { lease: Some(self.lease()), ..record.clone() };
        if self.records.change_if(&[&unchanged], vec![Change::put(name, &claimed)?]).await? {
            Ok(Claim::Ours(claimed))
        } else {
            Ok(Claim::Later(now.after(Duration::from_secs(1)), record))
        }
    }

    /// Holds on to an order that is ours, for as long as this is waited for. Gives back when it is ours no more.
    pub async fn hold(&self, host: &HostName) -> OrderFailed {
        loop {
            tokio::time::sleep(RENEWED).await;
            match self.put_order(host, |record| record.lease = Some(self.lease())).await {
                Ok(true) => {}
                Ok(false) => return OrderFailed::LeaseLost,
                // The store may be back before the lease has run out; else somebody else takes over, which costs an order.
                Err(error) => tracing::warn!(%host, %error, "the lease of an order could not be renewed"),
            }
        }
    }

    /// The order has failed. False when it is ours no more.
    ///
    /// # Errors
    /// When the store does not do its part.
    pub async fn failed(
        &self,
        host: &HostName,
        failed: &OrderFailed,
        not_before: Timestamp,
    ) -> Result<bool, RecordError> {
        self.put_order(host, |record| {
            record.lease = None;
            record.failures = record.failures.saturating_add(1);
            record.not_before = Some(not_before);
            record.failed = Some((failed.label().to_owned(), failed.to_string()));
        })
        .await
    }

    /// There is nothing to order any more.
    ///
    /// # Errors
    /// When the store does not do its part.
    pub async fn let_go(&self, host: &HostName) -> Result<bool, RecordError> {
        self.put_order(host, |record| record.lease = None).await
    }

    /// Keeps what was issued, for every gateway, and goes on to hold the lease. False when it is ours no more.
    ///
    /// # Errors
    /// When the store does not do its part.
    pub async fn deliver(
        &self,
        wanted: &WantedCertificate,
        certificate: &CertificateRecord,
        worked: Option<ChallengeKind>,
    ) -> Result<bool, RecordError> {
        for _ in 0..TRIES {
            let order = self.records.see::<OrderRecord>(&self.names.order(&wanted.host)).await?;
            let record = order.record.unwrap_or_default();
            if record.lease.as_ref().is_none_or(|lease| lease.holder != self.me) {
                return Ok(false);
            }
            let board = self.records.see::<Board>(&self.names.board()).await?;
            let mut board_now = board.record.unwrap_or_default();
            board_now.generation = board_now.generation.wrapping_add(1);
            board_now.answers.retain(|answer| answer.host != wanted.host);
            let changes = vec![
                Change::put(self.names.certificate(wanted), certificate)?,
                Change::put(
                    self.names.order(&wanted.host),
                    &OrderRecord { lease: Some(self.lease()), worked, ..OrderRecord::default() },
                )?,
                Change::put(self.names.board(), &board_now)?,
            ];
            if self.records.change_if(&[&order.unchanged, &board.unchanged], changes).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Changes the board, however many others do at the same time. False when they all were faster each time.
    ///
    /// # Errors
    /// When the store does not do its part.
    pub async fn put_board(&self, change: impl Fn(&mut Board)) -> Result<bool, RecordError> {
        for _ in 0..TRIES {
            let seen = self.records.see::<Board>(&self.names.board()).await?;
            let mut board = seen.record.unwrap_or_default();
            change(&mut board);
            if self.records.change_if(&[&seen.unchanged], vec![Change::put(self.names.board(), &board)?]).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Changes an order that is ours. False when it is not, or not any more.
    async fn put_order(&self, host: &HostName, change: impl Fn(&mut OrderRecord)) -> Result<bool, RecordError> {
        let name = self.names.order(host);
        let Seen { record, unchanged, .. } = self.records.see::<OrderRecord>(&name).await?;
        let mut record = record.unwrap_or_default();
        if record.lease.as_ref().is_none_or(|lease| lease.holder != self.me) {
            return Ok(false);
        }
        change(&mut record);
        self.records.change_if(&[&unchanged], vec![Change::put(name, &record)?]).await
    }

    fn lease(&self) -> Lease {
        Lease { holder: self.me.clone(), until: self.clock.now().after(LEASE) }
    }
}

#[cfg(test)]
mod tests;
