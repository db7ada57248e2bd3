//! By which pages notice that the visitor has signed in elsewhere: in another tab, or in a small window beside the page.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use super::page_site;
use super::start::Tab;
use crate::pages;
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::context::RequestCtx;
use crate::proxy::site::Site;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::sign_in::NextUrl;
use crate::telemetry::Outcome;

/// What pages of the portal may know of the visitor's session.
#[derive(Serialize)]
struct Told {
    signed_in: bool,
    /// An opaque mark of the person.
    person: Option<String>,
}

impl Gateway {
    /// Whether the visitor is signed in, and an opaque mark of who that is: for the portal's own pages.
    pub(super) fn tell_session(&self, visitor: &Visitor) -> Verdict {
        let person = visitor.session.as_ref().map(|session| self.sessions.page_mark(session.identity()));
        let told = Told { signed_in: person.is_some(), person };
        Verdict::Reply(Outcome::Answered, Reply::json(StatusCode::OK, &told))
    }

    /// The small window has done its work. Without a session it has not yet.
    pub(super) async fn end_small_window(
        &self,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        match &visitor.session {
            Some(session) => {
                let page = pages::signed_in(&page_site(site), &self.sessions.page_mark(session.identity()));
                Ok(Verdict::Reply(Outcome::Answered, page))
            }
            None => {
                self.count_attempt(site, ctx)?;
                self.begin_sign_in(site, visitor, NextUrl::signed_in(), Tab::Goes, ctx).await
            }
        }
    }
}
