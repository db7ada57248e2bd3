//! Decides. Pure: who may become a customer of a portal, and what may be forwarded.
//!
//! Nothing is forwarded without a [`Permit`], and only [`decide`] can make one.

pub mod admission;
pub mod rules;

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use crate::client_certificate::ClientCertificate;
use crate::clock::Timestamp;
use crate::condition::Facts;
use crate::email::EmailAddress;
use crate::portal::settings::Access;
use crate::portal::{CanonicalRequest, NativePage};
use crate::session::LiveSession;
use crate::sign_in::VerifiedIdentity;
pub use admission::{Admission, NotAdmitted};
pub use rules::{Demand, Rules};

/// The proof that a request may be forwarded, and on whose behalf.
#[derive(Clone, Debug)]
pub struct Permit {
    visitor: Visitor,
    for_everybody: bool,
}

/// On whose behalf a request is forwarded.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// Nobody's: no customer session is injected.
    Anonymous,
    /// A signed-in visitor's.
    SignedIn(Arc<LiveSession>),
}

impl Permit {
    /// On whose behalf.
    pub fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// Whether anybody would have been given it: a rule calls the path public, and the request only reads.
    pub fn is_for_everybody(&self) -> bool {
        self.for_everybody
    }

    /// The session, when there is one.
    pub fn session(&self) -> Option<&Arc<LiveSession>> {
        match &self.visitor {
            Visitor::Anonymous => None,
            Visitor::SignedIn(session) => Some(session),
        }
    }
}

/// From where somebody asks, by which connection, and when.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The visitor's address, where it can be told.
    pub client: Option<IpAddr>,
    /// The certificate that their connection was made with.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The present moment.
    pub now: Timestamp,
}

impl Circumstances {
    /// What conditions speak of.
    fn facts<'a>(&'a self, who: &'a VerifiedIdentity) -> Facts<'a> {
        Facts {
            email: who.email().map(EmailAddress::as_str),
            email_domain: who.email().map(EmailAddress::domain),
            groups: who.groups(),
            claims: who.claims(),
            provider: who.provider().as_str(),
            client: self.client,
            certificate: self.certificate.as_deref(),
            now: self.now,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It goes on.
    Forward(Permit),
    /// The visitor has to sign in first.
    SignIn,
    /// A rule lets nobody pass.
    Deny,
    /// The path is closed unless a rule names it.
    Closed,
    /// A page of JSM's own that is ours to answer.
    Page(NativePage),
    /// The visitor is signed in, and no longer welcome.
    NotAdmitted(NotAdmitted),
    /// The visitor is signed in, and what the rule requires does not hold.
    RuleNotMet,
}

/// Decides about `request`, given what its path demands and whose session it carries.
///
/// Admission is asked again on every request, so that a person whom the operator blocks is stopped at once, and not
/// when the session happens to end.
pub fn decide(
    request: &CanonicalRequest,
    demand: Demand<'_>,
    session: Option<Arc<LiveSession>>,
    admission: &Admission,
    circumstances: &Circumstances,
) -> Decision {
    let (access, require) = match demand {
        Demand::Closed => return Decision::Closed,
        Demand::Page(page) => return Decision::Page(page),
        Demand::Needs(Access::Deny, _) => return Decision::Deny,
        Demand::Needs(access, require) => (access, require),
    };
    // Reading is public; an anonymous write never passes, and whoever has to be somebody is nobody yet.
    let for_everybody = access == Access::Public && require.is_none() && reads(request);
    let Some(session) = session else {
        let permit = Permit { visitor: Visitor::Anonymous, for_everybody };
        return if for_everybody { Decision::Forward(permit) } else { Decision::SignIn };
    };
    if let Err(reason) = admission.admit(session.identity(), circumstances) {
        return Decision::NotAdmitted(reason);
    }
    // What cannot be told does not hold.
    if require.is_some_and(|require| require.holds(&circumstances.facts(session.identity())) != Ok(true)) {
        return Decision::RuleNotMet;
    }
    Decision::Forward(Permit { visitor: Visitor::SignedIn(session), for_everybody })
}

fn reads(request: &CanonicalRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && !request.is_websocket()
}

#[cfg(test)]
mod tests;
