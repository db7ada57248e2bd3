//! What this gateway knows of the certificates that it keeps.

use std::collections::BTreeMap;

use super::attempt::Outcome;
use crate::acme::issued::{Issued, WantedCertificate};
use crate::acme::lease::Desk;
use crate::acme::records::CertificateRecord;
use crate::acme::settings::KeyType;
use crate::clock::Timestamp;
use crate::portal::HostName;
use crate::session::{Change, RecordError};

/// The hosts, each with its certificates.
#[derive(Debug, Default)]
pub(super) struct Known {
    hosts: BTreeMap<HostName, Host>,
}

#[derive(Debug, Default)]
struct Host {
    certificates: BTreeMap<KeyType, Option<Held>>,
    /// Nothing is tried before then.
    not_before: Option<Timestamp>,
    /// What the latest attempt said, here or at another gateway.
    failed: Option<String>,
}

/// A certificate at hand.
#[derive(Clone, Debug)]
struct Held {
    issued: Issued,
    renew_at: Timestamp,
    ask_at: Option<Timestamp>,
}

impl Held {
    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.renew_at || self.ask_at.is_some_and(|ask_at| now >= ask_at)
    }
}

impl Known {
    /// These hosts are wanted, with these kinds of keys. Whether that is new.
    pub fn want(&mut self, hosts: &[HostName], key_types: &[KeyType]) -> bool {
        let same = hosts.len() == self.hosts.len() && hosts.iter().all(|host| self.hosts.contains_key(host));
        if same {
            return false;
        }
        self.hosts.retain(|host, _| hosts.contains(host));
        for host in hosts {
            let certificates = &mut self.hosts.entry(host.clone()).or_default().certificates;
            for key_type in key_types {
                certificates.entry(*key_type).or_default();
            }
        }
        true
    }

    /// Reads the certificates of all hosts anew. One that cannot be used is as good as none.
    ///
    /// # Errors
    /// When the store cannot be read: what is at hand stays.
    pub async fn read(&mut self, desk: &Desk) -> Result<(), RecordError> {
        for (host, known) in &mut self.hosts {
            for (key_type, held) in &mut known.certificates {
                let wanted = WantedCertificate { host: host.clone(), key_type: *key_type };
                let read = read_one(desk, &wanted).await?;
                if read.is_some() {
                    (known.not_before, known.failed) = (None, None);
                }
                // Never none in place of one that works.
                *held = read.or(held.take());
            }
        }
        Ok(())
    }

    /// Everything that can be served.
    pub fn issued(&self) -> Vec<Issued> {
        self.held().map(|held| held.issued.clone()).collect()
    }

    /// The hosts for which something is to be done.
    pub fn due(&self, now: Timestamp) -> Vec<HostName> {
        let due = |(host, known): (&HostName, &Host)| {
            let waits = known.not_before.is_some_and(|not_before| now < not_before);
            let due = known.certificates.values().any(|held| held.as_ref().is_none_or(|held| held.is_due(now)));
            (due && !waits).then(|| host.clone())
        };
        self.hosts.iter().filter_map(due).collect()
    }

    /// How an attempt ended.
    pub fn note(&mut self, host: &HostName, outcome: &Outcome) {
        let Some(known) = self.hosts.get_mut(host) else { return };
        known.not_before = outcome.not_before;
        known.failed.clone_from(&outcome.failed);
    }

    /// How many certificates are missing, or over.
    pub fn missing(&self, now: Timestamp) -> usize {
        let all = self.hosts.values().flat_map(|known| known.certificates.values());
        all.filter(|held| held.as_ref().is_none_or(|held| held.issued.ends <= now)).count()
    }

    /// A sentence for each host that waits for something.
    pub fn sentences(&self, now: Timestamp) -> Vec<String> {
        let sentence = |(host, known): (&HostName, &Host)| {
            let all: Option<Vec<&Held>> = known.certificates.values().map(Option::as_ref).collect();
            let stands = match &all {
                None => "has no certificate yet".to_owned(),
                Some(held) => {
                    let ends = held.iter().map(|held| held.issued.ends).min()?;
                    let over = if ends <= now { "ended" } else { "ends" };
                    if known.failed.is_none() && ends > now {
                        return None;
                    }
                    format!("has a certificate that {over} at {ends}")
                }
            };
            let next = known.not_before.map(|at| format!("; tried again after {at}")).unwrap_or_default();
            let failed = known.failed.as_ref().map(|failed| format!(": {failed}")).unwrap_or_default();
            Some(format!("{host} {stands}{failed}{next}"))
        };
        self.hosts.iter().filter_map(sentence).collect()
    }

    fn held(&self) -> impl Iterator<Item = &Held> {
        self.hosts.values().flat_map(|known| known.certificates.values().flatten())
    }
}

/// The certificate in the store, sealed anew where an older key had sealed it.
async fn read_one(desk: &Desk, wanted: &WantedCertificate) -> Result<Option<Held>, RecordError> {
    let name = desk.names.certificate(wanted);
    let seen = match desk.records.see::<CertificateRecord>(&name).await {
        Ok(seen) => seen,
        Err(RecordError::Unreadable) => {
            tracing::error!(%wanted, "the certificate in the session store cannot be read; another one is ordered");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let Some(record) = seen.record else { return Ok(None) };
    if !seen.sealed_by_first {
        let moved = desk.records.change_if(&[&seen.unchanged], vec![Change::put(name, &record)?]).await?;
        tracing::info!(%wanted, moved, "a certificate is sealed with the first key");
    }
    let Some(key) = record.key.open(&desk.names.place_of_key(wanted)) else { return Ok(None) };
    match Issued::read(wanted, &record.chain, &key) {
        Ok(issued) => Ok(Some(Held { issued, renew_at: record.renew_at, ask_at: record.ask_at })),
        Err(failed) => {
            tracing::error!(%wanted, %failed, "the certificate in the session store cannot be used; another one is ordered");
            Ok(None)
        }
    }
}
