//! A customer session: a fresh password, a login, and proof of whose session it is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::COOKIE;
use http::{Method, StatusCode};
use serde::Serialize;
use tokio::time::Instant;

use super::answers::{self, Named};
use super::{DataCenter, REMEMBER_ME_COOKIE, SESSION_COOKIE, death};
use crate::clock::Timestamp;
use crate::customer::upstream::{XSRF_CHECK, json_body};
use crate::customer::{
    AnswerHead, BrokerFailed, Customer, CustomerSessionBroker, DeathSign, Opening, Unfit, UpstreamFailed,
};
use crate::http_client::{Answer, Call};
use crate::ids::Affinity;
use crate::nodes::{Choice, NoAddress, Node};
use crate::secret::Secret;
use crate::session::CustomerSession;

/// Satisfies a password policy that wants each kind of character; the 256 random bits follow.
const EVERY_KIND: &str = "Aa1!";
/// A login may meet a password that is not yet known to every node, or that another gateway has just changed.
const ROUNDS: u32 = 2;
/// An account call and a login for each step there is.
const CALLS: u32 = 4;

/// `PUT /rest/api/2/user/password`.
#[derive(Serialize)]
struct NewPassword<'a> {
    password: &'a str,
}

#[async_trait]
impl CustomerSessionBroker for DataCenter {
    async fn open(
        &self,
        customer: &Customer,
        generation: u64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        let place = Affinity::of(&[&customer.account().to_lowercase()]);
        self.open_for_whom(customer.account(), Whom { affinity: place, left: None }, (generation, now), deadline).await
    }

    async fn open_for(&self, opening: &Opening<'_>) -> Result<CustomerSession, BrokerFailed> {
        let whom = Whom { affinity: opening.who.affinity(), left: opening.left };
        let moment = (opening.generation, opening.now);
        self.open_for_whom(opening.customer.account(), whom, moment, opening.deadline).await
    }

    async fn is_alive(&self, session: &CustomerSession, deadline: Instant) -> Result<bool, BrokerFailed> {
        if self.is_of_no_node(session) {
            return Ok(false);
        }
        let answer = self.as_customer(session, Method::GET, &["rest", "auth", "1", "session"], deadline).await?;
        Ok(is_session_of(&answer, session.customer()).unwrap_or(false))
    }

    async fn end(&self, session: &CustomerSession, deadline: Instant) -> Result<(), BrokerFailed> {
        if self.is_of_no_node(session) {
            return Ok(());
        }
        let answer = self.as_customer(session, Method::DELETE, &["rest", "auth", "1", "session"], deadline).await?;
        // 401: it is not known any more.
        if answer.status.is_success() || answer.status == StatusCode::UNAUTHORIZED {
            return Ok(());
        }
        Err(UpstreamFailed::Unexpected("end this session").into())
    }

    /// The remember-me token is known to all nodes, and the next one opens a session by it.
    fn outlives_its_node(&self, session: &CustomerSession) -> bool {
        session.node().is_none() || session.holds(REMEMBER_ME_COOKIE)
    }

    async fn check(&self, deadline: Instant) -> Result<String, Unfit> {
        self.checked(deadline).await
    }

    fn signs_of_death(&self, answer: &AnswerHead<'_>) -> Option<DeathSign> {
        death::sign(answer)
    }

    fn is_authentication_cookie(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(SESSION_COOKIE) || name.eq_ignore_ascii_case(REMEMBER_ME_COOKIE)
    }

    fn patience(&self) -> Duration {
        self.settings.call_timeout.saturating_mul(CALLS)
    }
}

/// For whom a session is opened, as far as it matters where.
#[derive(Clone, Copy)]
struct Whom {
    affinity: Affinity,
    /// The node that their requests no longer go to.
    left: Option<SocketAddr>,
}

impl DataCenter {
    async fn open_for_whom(
        &self,
        account: &str,
        whom: Whom,
        (generation, now): (u64, Timestamp),
        deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        let place = self.place(&format!("login of {}", account.to_lowercase()));
        let turn = tokio::time::timeout_at(deadline, self.people.turn(&place)).await;
        let _turn = turn.map_err(|_| UpstreamFailed::TimedOut)?;
        self.breaker.admit(account, now)?;
        let opened = self.open_at_a_node(account, whom, (generation, now), deadline).await;
        self.breaker.note(account, opened.as_ref().err(), now);
        opened
    }

    /// At the node that the person's requests go to; at the next one when that does not do its part.
    async fn open_at_a_node(
        &self,
        account: &str,
        whom: Whom,
        moment: (u64, Timestamp),
        deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        if !self.nodes.are_told_apart() {
            return self.open_in_turn(None, account, moment, deadline).await;
        }
        let gone = |error: NoAddress| UpstreamFailed::Unreachable(error.to_string());
        self.nodes.make_ready().await.map_err(gone)?;
        let choice = Choice::Person { affinity: whom.affinity, at: None };
        let mut tried: Vec<SocketAddr> = whom.left.into_iter().collect();
        // The one that was left is better than none.
        let mut last = whom.left.and_then(|left| self.nodes.find(left));
        loop {
            let next = self.nodes.pick(choice, &tried).or_else(|| last.take());
            let node = next.ok_or(NoAddress).map_err(gone)?;
            tried.push(node.address());
            let more = self.nodes.has_others(&tried) || last.is_some();
            match self.open_in_turn(Some(&node), account, moment, deadline).await {
                Err(BrokerFailed::Upstream(failed)) if failed.is_of_one_node() && more => {
                    tracing::info!(account, node = %node.address(), %failed, "a customer session is opened at another node");
                }
                outcome => return outcome,
            }
        }
    }

    /// Whether the node that knew it is no node of the site any more.
    fn is_of_no_node(&self, session: &CustomerSession) -> bool {
        self.nodes.are_told_apart() && session.node().is_some_and(|node| self.nodes.find(node).is_none())
    }

    async fn open_in_turn(
        &self,
        node: Option<&Arc<Node>>,
        account: &str,
        (generation, now): (u64, Timestamp),
        deadline: Instant,
    ) -> Result<CustomerSession, BrokerFailed> {
        let mut rounds = ROUNDS;
        let jar = loop {
            let password = self.new_password()?;
            self.set_password(node, account, &password, deadline).await?;
            rounds = rounds.saturating_sub(1);
            match self.log_in(node, account, &password, now, deadline).await {
                Err(BrokerFailed::LoginRefused(_)) if rounds > 0 => {}
                outcome => break outcome?,
            }
        };
        let session = jar.into_session(generation, account, now, self.settings.max_age);
        let session = session.at_node(node.map(|node| node.address()));
        let judged = self.judge(&session, deadline).await;
        match judged {
            Ok(()) => Ok(session),
            Err(failed) => {
                // Nobody will use it: it must not stay open. The reason to refuse it is the one to tell.
                if let Err(error) = self.end(&session, deadline).await {
                    tracing::debug!(%error, account, "a session that is of no use could not be ended");
                }
                Err(failed)
            }
        }
    }

    fn new_password(&self) -> Result<Secret, UpstreamFailed> {
        let mut password = String::with_capacity(64);
        password.push_str(EVERY_KIND);
        let random = zeroize::Zeroizing::new(self.upstream.random().token()?);
        password.push_str(&random);
        Ok(Secret::generated(password))
    }

    async fn set_password(
        &self,
        node: Option<&Arc<Node>>,
        account: &str,
        password: &Secret,
        deadline: Instant,
    ) -> Result<(), BrokerFailed> {
        let mut url = self.upstream.url(&["rest", "api", "2", "user", "password"]);
        url.query_pairs_mut().append_pair("username", account);
        let body = json_body(&NewPassword { password: password.reveal() });
        let answer = match self.upstream.service_at(node, Method::PUT, url, Some(body), deadline).await {
            // The same status for "you may not" and for "nobody can": the service user's rights tell which.
            Err(UpstreamFailed::CredentialsLackPermission) => {
                return Err(if self.service_may_administer(deadline).await? {
                    BrokerFailed::ReadOnlyDirectory(account.to_owned())
                } else {
                    UpstreamFailed::CredentialsLackPermission.into()
                });
            }
            outcome => outcome?,
        };
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::BAD_REQUEST => Err(BrokerFailed::PasswordRejected(answers::message(&answer))),
            _ => Err(UpstreamFailed::Unexpected("set a password").into()),
        }
    }

    /// Makes sure that the session is the customer's, and that a customer is all they are.
    async fn judge(&self, session: &CustomerSession, deadline: Instant) -> Result<(), BrokerFailed> {
        let account = session.customer();
        let answer = self.as_customer(session, Method::GET, &["rest", "auth", "1", "session"], deadline).await?;
        match is_session_of(&answer, account) {
            Some(true) => {}
            Some(false) => {
                tracing::error!(account, "the upstream opened a session for somebody else: it is not used");
                return Err(BrokerFailed::WrongCustomer(account.to_owned()));
            }
            None => return Err(BrokerFailed::LoginRefused(account.to_owned())),
        }
        // Rights can come by ways that no list of groups shows. Customers without a licence may get no answer here.
        let answer = self.as_customer(session, Method::GET, &["rest", "api", "2", "mypermissions"], deadline).await?;
        if answers::may_administer(&answer) == Some(true) {
            tracing::error!(account, "an account may administer although no group tells so: its session is not used");
            return Err(BrokerFailed::Administrator(account.to_owned()));
        }
        Ok(())
    }

    /// A call with the customer's cookies, and without the service credentials, at the node that knows them.
    async fn as_customer(
        &self,
        session: &CustomerSession,
        method: Method,
        path: &[&str],
        deadline: Instant,
    ) -> Result<Answer, UpstreamFailed> {
        let url = self.upstream.url(path);
        let cookies = session.cookie_header(url.path());
        let mut call = Call::new(method, url).accepting("application/json").with_header(XSRF_CHECK.0, XSRF_CHECK.1);
        if let Some(cookies) = cookies {
            call = call.with_header(COOKIE, cookies);
        }
        let node = session.node().and_then(|node| self.nodes.find(node));
        self.upstream.send_to(node.as_ref(), call, deadline).await
    }
}

/// Whether the answer to "whose session is this?" names `account`; `None` when it names nobody.
fn is_session_of(answer: &Answer, account: &str) -> Option<bool> {
    let named: Named = answer.status.is_success().then(|| answer.json().ok()).flatten()?;
    // User names are kept in lower case and compared so.
    Some(named.name.to_lowercase() == account.to_lowercase())
}
