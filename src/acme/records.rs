//! What is kept of ACME in the session store, so that it lasts and every gateway has it.

use serde::{Deserialize, Serialize};

use super::answers::Answer;
use super::issued::WantedCertificate;
use super::settings::{AcmeSettings, ChallengeKind};
use crate::clock::Timestamp;
use crate::portal::HostName;
use crate::session::RecordName;
use crate::session::envelope::Envelope;
use crate::session::store::Shelf;

/// The account at an authority.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccountRecord {
    /// Its address and key.
    pub credentials: Envelope,
    /// Whom the authority writes to.
    pub contact: Vec<String>,
}

/// A certificate and its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CertificateRecord {
    /// The chain in PEM, leaf first.
    pub chain: String,
    /// The key in PEM.
    pub key: Envelope,
    /// From when it is valid.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// When the next one is ordered.
    pub renew_at: Timestamp,
    /// When the authority is asked whether it suggests another time; never, where it suggests none.
    pub ask_at: Option<Timestamp>,
}

/// How it stands with the orders for one host.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct OrderRecord {
    /// Who orders.
    pub lease: Option<Lease>,
    /// How many orders have failed in a row.
    pub failures: u32,
    /// Not before then.
    pub not_before: Option<Timestamp>,
    /// The latest failure: its label, and what it says.
    pub failed: Option<(String, String)>,
    /// The challenge that worked last.
    pub worked: Option<ChallengeKind>,
}

/// Who orders, and until when others leave them to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    /// A name that the gateway has made up for itself.
    pub holder: String,
    /// It is renewed well before then, by who still works on it.
    pub until: Timestamp,
}

/// What every gateway looks at each second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Board {
    /// Grows with every certificate that is put into the store.
    pub generation: u64,
    /// The answers to challenges that are out.
    pub answers: Vec<Answer>,
}

/// Where the records of one authority stand.
#[derive(Clone, Debug)]
pub(super) struct Names {
    directory: String,
    account: String,
}

impl Names {
    pub fn new(settings: &AcmeSettings) -> Self {
        let account = settings.external_account.as_ref().map_or(String::new(), |external| external.kid.clone());
        Self { directory: settings.directory.to_string(), account }
    }

    pub fn account(&self) -> RecordName {
        self.named(&["account", &self.account])
    }

    pub fn certificate(&self, wanted: &WantedCertificate) -> RecordName {
        self.named(&["certificate", wanted.host.as_str(), wanted.key_type.name()])
    }

    pub fn order(&self, host: &HostName) -> RecordName {
        self.named(&["order", host.as_str()])
    }

    pub fn board(&self) -> RecordName {
        self.named(&["board"])
    }

    /// What a certificate's key is sealed for.
    pub fn place_of_key<'a>(&'a self, wanted: &'a WantedCertificate) -> [&'a str; 4] {
        [&self.directory, "key", wanted.host.as_str(), wanted.key_type.name()]
    }

    /// What an account's credentials are sealed for.
    pub fn place_of_account(&self) -> [&str; 3] {
        [&self.directory, "account", &self.account]
    }

    fn named(&self, rest: &[&str]) -> RecordName {
        let mut parts = vec!["acme", self.directory.as_str()];
        parts.extend_from_slice(rest);
        RecordName::new(Shelf::Certificates, &parts)
    }
}
