//! What one exchange carries from step to step.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use pingora::http::RequestHeader;

use super::Gateway;
use super::answer_body::AnswerBody;
use super::login_fields::FormWatch;
use super::rewrite::FieldRewriter;
use super::site::Site;
use crate::client_certificate::ClientCertificate;
use crate::clock::Stopwatch;
use crate::limits::Counted;
use crate::nodes::InUse;
use crate::pages::Wants;
use crate::policy::Permit;
use crate::portal::CanonicalRequest;
use crate::refusal::Refusal;
use crate::session::{CustomerSession, TakenForm};
use crate::telemetry::Exchange;

/// The context of one exchange.
#[derive(Debug)]
pub struct RequestCtx {
    /// What serves it: the configuration in force when it began.
    pub gateway: Arc<Gateway>,
    /// The record of it; written when the context is dropped.
    pub exchange: Exchange,
    /// What kind of answer the visitor can use.
    pub wants: Wants,
    /// The certificate that the visitor's connection was made with.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The portal, once it is known.
    pub site: Option<Arc<Site>>,
    /// The page that the visitor wants, where their browser may have to sign on at the upstream first.
    pub walk_to: Option<String>,
    /// Where what a script has sent waits for a sign-in.
    pub kept_at: Option<String>,
    /// The path and query that the visitor wanted, where that is not what they asked for, or a refusal needs to know it.
    pub wanted: Option<String>,
    /// How far it has come.
    pub stage: Stage,
}

/// How far an exchange has come.
#[derive(Debug)]
pub enum Stage {
    /// Nothing is decided.
    Undecided,
    /// It may be forwarded.
    Forwarding(Box<Forwarding>),
}

/// A request that may be forwarded.
#[derive(Debug)]
pub struct Forwarding {
    /// The proof.
    pub permit: Permit,
    /// The one reading of the request.
    pub request: CanonicalRequest,
    /// What is injected.
    pub customer_session: Option<Arc<CustomerSession>>,
    /// Whether the request was, or is about to be, sent a second time.
    pub repeat: Repeat,
    /// Whose page it is, for the script in it; only where there is one.
    pub person_mark: Option<String>,
    /// A kept form that is sent in its place.
    pub sent_again: Option<Box<SentAgain>>,
    /// What was counted for it, until the upstream says that it made nothing.
    pub counted: Option<Counted>,
    /// Why it ends, when it ends badly.
    pub refusal: Option<Refusal>,
    /// Its place at the node that it goes to, in this attempt.
    pub at: Option<InUse>,
    /// The nodes that have failed it; none of them is tried once more.
    pub tried: Vec<SocketAddr>,
    /// Whether something of an answer has come, in this attempt.
    pub is_answered: bool,
    /// Whether it has met a kept connection that was just being closed.
    pub was_kept_waiting: bool,
    /// Whether its customer session was opened at another node while it was on its way.
    pub has_moved: bool,
    /// Bytes of the request body so far; from the start when it is sent again.
    pub received: u64,
    /// Runs from the request to the head of the answer; from when it is sent.
    pub waiting: Option<Stopwatch>,
    /// Whether the part that was asked for turned out to be of something that is only sent whole.
    pub range: Range,
    /// Looks through a form that goes to JSM.
    pub form: Option<FormWatch>,
    /// Rewrites the body of the request.
    pub request_body: Option<FieldRewriter>,
    /// Rewrites the body of the answer.
    pub body: Option<AnswerBody>,
}

/// Whether a request is sent a second time because its customer session had died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It was sent once at most.
    No,
    /// A new customer session is open; the next error is the one that has it sent again.
    Due,
    /// It was sent again. It will not be a third time.
    Done,
}

/// What becomes of `Range` (RFC 9110, section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// It goes on as the visitor sent it.
    AsAsked,
    /// It turned out to be no use; the next error is the one that has the request sent again.
    Due,
    /// It was sent again without it.
    Dropped,
}

/// A kept form on its way: what goes in place of the visitor's own head and body.
#[derive(Debug)]
pub struct SentAgain {
    /// The head.
    pub head: RequestHeader,
    /// The body.
    pub body: Bytes,
    /// Whether the body was given to the upstream, in this attempt, and not refused for want of a session.
    pub given: bool,
    /// What was taken out of the store, to be put back when the upstream cannot be reached.
    pub taken: Option<TakenForm>,
}

impl SentAgain {
    /// The kept body, at the end of the visitor's own, of which nothing goes on.
    pub fn in_place_of(&mut self, body: &mut Option<Bytes>, end: bool) {
        let end = end || body.is_none();
        let whole = end && !std::mem::replace(&mut self.given, end);
        // An empty part is no end.
        *body = Some(if whole { self.body.clone() } else { Bytes::new() });
    }
}

impl Forwarding {
    /// A request that is about to be sent for the first time.
    pub fn new(permit: Permit, request: CanonicalRequest, customer_session: Option<Arc<CustomerSession>>) -> Self {
        Self {
            permit,
            request,
            customer_session,
            repeat: Repeat::No,
            person_mark: None,
            sent_again: None,
            counted: None,
            refusal: None,
            at: None,
            tried: Vec::new(),
            is_answered: false,
            was_kept_waiting: false,
            has_moved: false,
            received: 0,
            waiting: None,
            range: Range::AsAsked,
            form: None,
            request_body: None,
            body: None,
        }
    }
}

impl Forwarding {
    /// Something of an answer has come.
    pub fn note_answer(&mut self) {
        if let Some(at) = self.at.as_ref().filter(|_| !self.is_answered) {
            at.node().answered();
        }
        self.is_answered = true;
    }
}

impl RequestCtx {
    /// The request that may be forwarded, when it may.
    pub fn forwarding(&mut self) -> Option<&mut Forwarding> {
        match &mut self.stage {
            Stage::Undecided => None,
            Stage::Forwarding(forwarding) => Some(forwarding),
        }
    }
}
