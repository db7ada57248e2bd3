//! Settings of the provider.

use std::time::Duration;

use super::Person;
use crate::saml::metadata::Binding;
use crate::saml::names::{NAMEID_PERSISTENT, PASSWORD_PROTECTED_TRANSPORT};
use crate::saml::response::Signed;

/// How the provider is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who can sign in; the page lists them in this order.
    pub people: Vec<Person>,
    /// How a person is chosen.
    pub approval: Approval,
    /// What it signs. Default both.
    pub signed: Signed,
    /// Whether assertions are encrypted to whoever has a key for that. Default no.
    pub encrypts: bool,
    /// Whether it takes signed AuthnRequests only, from everybody. Default no: from those who say that they sign.
    pub wants_signed_requests: bool,
    /// The format of NameID that is given when none is asked for.
    pub name_id_format: String,
    /// How people sign in.
    pub authn_context: String,
    /// How long an assertion may be used. Default 2 min.
    pub lifetime: Duration,
    /// When service providers have to end their sessions. Default never.
    pub session_lifetime: Option<Duration>,
    /// How it sends LogoutRequests, where the service provider offers both. Default by HTTP-Redirect.
    pub logout_by: Binding,
    /// Whether it offers single logout at all. Default yes.
    pub offers_logout: bool,
}

/// How a person is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// On the page.
    ByPage,
    /// Always this subject.
    Automatic(String),
}

/// How the provider carries out a logout that a service provider asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogoutConduct {
    /// As it should.
    #[default]
    Honest,
    /// It says that others could not be signed out.
    Partial,
    /// It says that it failed.
    Fails,
    /// It answers, and does not sign that.
    Unsigned,
    /// It answers to another request.
    AnswersAnother,
    /// It does not answer, and shows a page.
    Silent,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            people: people().to_vec(),
            approval: Approval::ByPage,
            signed: Signed::Both,
            encrypts: false,
            wants_signed_requests: false,
            name_id_format: NAMEID_PERSISTENT.to_owned(),
            authn_context: PASSWORD_PROTECTED_TRANSPORT.to_owned(),
            lifetime: Duration::from_secs(120),
            session_lifetime: None,
            logout_by: Binding::Redirect,
            offers_logout: true,
        }
    }
}

impl Settings {
    /// Lets `subject` in without a page.
    pub fn approve_automatically(mut self, subject: &str) -> Self {
        self.approval = Approval::Automatic(subject.to_owned());
        self
    }
}

/// The people of the demo: one who is admitted, and one from a domain for which this provider does not speak.
fn people() -> [Person; 2] {
    let mut gina = Person::new("gina", "Gina Gomes", "gina@globex.com");
    gina.groups = vec!["customers".to_owned()];
    gina.note = "A customer: the portal lets her in.".to_owned();
    let mut eve = Person::new("eve", "Eve Estrada", "ana@acme.example");
    eve.note = "Claims an address of somebody else's company: the portal refuses her.".to_owned();
    [gina, eve]
}
