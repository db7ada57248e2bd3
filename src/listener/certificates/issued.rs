//! What an authority has issued, by the host that it is for.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::acme::Issued;
use crate::clock::Timestamp;
use crate::portal::HostName;

/// The hosts for which certificates are ordered, each with what it has.
#[derive(Default)]
pub(super) struct IssuedByHost {
    by_host: HashMap<String, Vec<Arc<CertifiedKey>>>,
    ends: Vec<(String, Timestamp)>,
}

impl IssuedByHost {
    /// Those of `issued` that are for one of `hosts`.
    pub fn new(hosts: &[HostName], issued: &[Issued]) -> Self {
        let mut all = Self::default();
        for host in hosts {
            let of_host = issued.iter().filter(|issued| issued.wanted.host == *host);
            all.ends.extend(of_host.clone().map(|issued| (host.to_string(), issued.ends)));
            all.by_host.insert(host.to_string(), of_host.map(|issued| Arc::clone(&issued.key)).collect());
        }
        all
    }

    /// What the host has; nothing for a host that none is ordered for.
    pub fn of(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        self.by_host.get(&name.to_ascii_lowercase()).map(Vec::as_slice)
    }

    /// Until when each is valid.
    pub fn ends(&self) -> impl Iterator<Item = (String, Timestamp)> {
        self.ends.iter().cloned()
    }
}
