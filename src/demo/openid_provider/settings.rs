//! Settings of the provider.

use std::time::Duration;

use super::{Client, Person};
use crate::sign_in::settings::SigningAlgorithm;

/// How the provider is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who can sign in; the page lists them in this order.
    pub people: Vec<Person>,
    /// The relying parties; more can be registered later.
    pub clients: Vec<Client>,
    /// How ID tokens are signed. ES256 signs fastest; RS256 is what most providers do.
    pub algorithm: SigningAlgorithm,
    /// Whether keys and tokens carry `kid`.
    pub key_ids: KeyIds,
    /// Where claims about the person are told.
    pub claims_in: ClaimsIn,
    /// How a person is chosen.
    pub approval: Approval,
    /// How long a code can be used. Default 60 s.
    pub code_lifetime: Duration,
    /// How long an ID token is valid. Default 5 min.
    pub id_token_lifetime: Duration,
    /// How long an access token is valid. Default 10 min.
    pub access_token_lifetime: Duration,
}

/// Whether keys and tokens carry `kid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyIds {
    /// They do.
    Shown,
    /// They do not.
    Absent,
}

/// Where claims about the person are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimsIn {
    /// In the ID token and by UserInfo.
    IdToken,
    /// By UserInfo only.
    UserInfo,
}

/// How a person is chosen at the authorization endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// On the page.
    ByPage,
    /// By the `login_hint` at once, where it is the subject or the address of a person; else on the page.
    ByLoginHint,
    /// By the `login_hint`, where it names a person; else always this subject.
    Automatic(String),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            people: Person::demo().to_vec(),
            clients: Vec::new(),
            algorithm: SigningAlgorithm::Rs256,
            key_ids: KeyIds::Shown,
            claims_in: ClaimsIn::IdToken,
            approval: Approval::ByPage,
            code_lifetime: Duration::from_secs(60),
            id_token_lifetime: Duration::from_secs(300),
            access_token_lifetime: Duration::from_secs(600),
        }
    }
}

impl Settings {
    /// Lets `subject` in without a page.
    pub fn approve_automatically(mut self, subject: &str) -> Self {
        self.approval = Approval::Automatic(subject.to_owned());
        self
    }

    /// Lets the person whom `login_hint` names in without a page.
    pub fn approve_by_login_hint(mut self) -> Self {
        self.approval = Approval::ByLoginHint;
        self
    }
}
