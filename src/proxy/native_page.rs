//! JSM's own pages for signing in and out, for accounts and passwords: ours answer in their place.

use std::sync::Arc;

use http::Method;

use super::Gateway;
use super::admit::{Verdict, Visitor};
use super::context::RequestCtx;
use super::endpoints::Tab;
use super::site::Site;
use crate::pages::Wants;
use crate::portal::settings::CustomerSessionSettings;
use crate::portal::{CanonicalRequest, NativePage};
use crate::refusal::{Passwords, Reason, Refusal};
use crate::reply::Reply;
use crate::sign_in::NextUrl;
use crate::telemetry::Outcome;

/// The query parameters in which JSM's sign-in pages are told where to go on: Cloud, Data Center, Jira itself.
const DESTINATIONS: [&str; 4] = ["continue", "destination", "os_destination", "dest-url"];

impl Gateway {
    /// Answers in place of a page of JSM's own.
    pub(super) async fn answer_for_jsm(
        &self,
        page: NativePage,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        match page {
            // A password that is posted there would sign somebody in past us.
            NativePage::SignIn if !get => Err(Reason::PathClosed.into()),
            NativePage::SignIn => {
                let next = destination(request.query(), site);
                if visitor.session.is_some() {
                    return Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(next.as_str())));
                }
                if ctx.wants != Wants::Page {
                    return Err(Reason::SignInRequired.into());
                }
                self.count_attempt(site, ctx)?;
                self.begin_sign_in(site, visitor, next, Tab::Waits, ctx).await
            }
            NativePage::SignOut => Ok(Verdict::Reply(Outcome::Answered, Reply::see_other("/.vestibule/sign-out"))),
            NativePage::Account => Err(Reason::AccountPage(passwords(site)).into()),
        }
    }
}

/// Where the passwords are that somebody looks for at such a page.
fn passwords(site: &Site) -> Passwords {
    match site.settings.customer_session {
        CustomerSessionSettings::CloudPassword(_) => Passwords::GivenHere,
        CustomerSessionSettings::Redirect(_) => Passwords::AtTheSite,
        CustomerSessionSettings::None
        | CustomerSessionSettings::DataCenter(_)
        | CustomerSessionSettings::CloudSaml(_)
        | CustomerSessionSettings::TrustedJwt(_) => Passwords::Nowhere,
    }
}

/// Where somebody wanted to go whom JSM, or a link in its mail, sent to its sign-in: a path on this host, or the start page.
fn destination(query: Option<&str>, site: &Site) -> NextUrl {
    let start = || NextUrl::parse(&site.start_page()).unwrap_or_else(|_| NextUrl::root());
    let pairs = || url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let told =
        DESTINATIONS.iter().find_map(|name| pairs().find(|(found, _)| found == name).map(|(_, value)| (name, value)));
    let Some((name, told)) = told.filter(|(_, told)| !told.is_empty()) else { return start() };
    let context = site.settings.upstream.url.path().trim_end_matches('/');
    let path = [site.upstream.origin(), site.settings.public_origin.as_str()]
        .into_iter()
        .find_map(|origin| told.strip_prefix(origin).filter(|rest| rest.starts_with('/')).map(str::to_owned))
        .or_else(|| match told.strip_prefix('/') {
            Some(_) if told.starts_with(&format!("{context}/")) => Some(told.clone().into_owned()),
            Some(path) => Some(format!("{context}/{path}")),
            // The portal names its own pages from its start: "portal/7".
            None if *name == "destination" && !told.contains(':') => {
                Some(format!("{context}/servicedesk/customer/{told}"))
            }
            None => None,
        });
    let next = path.and_then(|path| NextUrl::parse(&path).ok());
    // Not to where we are already.
    let is_page = |next: &NextUrl| {
        let path = next.as_str().split(['?', '#']).next().unwrap_or_default();
        site.rules.jsm().is_some_and(|jsm| matches!(jsm.read(path).what, crate::portal::JsmPath::Page(_)))
    };
    next.filter(|next| !is_page(next)).unwrap_or_else(start)
}
