//! Decides. Pure: who may become a customer of a portal, and what may be forwarded.
//!
//! Nothing is forwarded without a [`Permit`], and only [`decide`] can make one.

pub mod admission;

use std::sync::Arc;

use http::Method;

use crate::portal::CanonicalRequest;
use crate::portal::settings::Access;
use crate::session::LiveSession;
pub use admission::{Admission, NotAdmitted};

/// The proof that a request may be forwarded, and on whose behalf.
#[derive(Clone, Debug)]
pub struct Permit {
    visitor: Visitor,
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

    /// The session, when there is one.
    pub fn session(&self) -> Option<&Arc<LiveSession>> {
        match &self.visitor {
            Visitor::Anonymous => None,
            Visitor::SignedIn(session) => Some(session),
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
    /// Nobody may do this here.
    Deny,
    /// The visitor is signed in, and no longer welcome.
    NotAdmitted(NotAdmitted),
}

/// Decides about `request`, given what its path needs and whose session it carries.
///
/// Admission is asked again on every request, so that a person whom the operator blocks is stopped at once, and not
/// when the session happens to end.
pub fn decide(
    request: &CanonicalRequest,
    access: Access,
    session: Option<Arc<LiveSession>>,
    admission: &Admission,
) -> Decision {
    match (access, session) {
        (Access::Deny, _) => Decision::Deny,
        (Access::SignedIn | Access::Public, Some(session)) => match admission.admit(session.identity()) {
            Ok(()) => Decision::Forward(Permit { visitor: Visitor::SignedIn(session) }),
            Err(reason) => Decision::NotAdmitted(reason),
        },
        // Reading is public; an anonymous write never passes.
        (Access::Public, None) if reads(request) => Decision::Forward(Permit { visitor: Visitor::Anonymous }),
        (Access::SignedIn | Access::Public, None) => Decision::SignIn,
    }
}

fn reads(request: &CanonicalRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD) && !request.is_websocket()
}
