//! Who has signed in here and goes on at the site itself: everybody, where the customer session is `redirect`; else people
//! with an account that is more than a customer's, where the settings say so. A page says so, or a link.
//!
//! A page and not a redirect: browsers hold each redirect after a form that was posted, by a provider or by us, against that
//! page's policy, and people should see that they leave this address.

use std::sync::Arc;

use http::Method;
use url::Url;

use super::Gateway;
use super::admit::Verdict;
use super::context::RequestCtx;
use super::endpoints::page_site;
use super::refuse::page_asked_for;
use super::site::Site;
use crate::pages::{self, Wants};
use crate::policy::Permit;
use crate::portal::CanonicalRequest;
use crate::portal::settings::{Elsewhere, OtherAccounts};
use crate::refusal::{Offer, Reason, Refusal};
use crate::sign_in::NextUrl;
use crate::telemetry::Outcome;

impl Gateway {
    /// Answers somebody who may be served: provisioned if need be, then sent on to the same path at `address`. What is no
    /// navigation is told so, and reaches nobody.
    pub(super) async fn hand_over(
        &self,
        address: &Url,
        permit: &Permit,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let navigation = ctx.wants == Wants::Page && matches!(*request.method(), Method::GET | Method::HEAD);
        if !navigation || request.is_websocket() {
            return Err(Reason::HandedOver.into());
        }
        if let Err(refusal) = self.customer_session(permit, site, ctx).await {
            ctx.wanted = Some(request.target());
            return Err(refusal);
        }
        let there = destination(address, &request.target(), &site.start_page());
        Ok(Verdict::Reply(Outcome::Answered, pages::hand_over(&page_site(site), &there)))
    }
}

/// Where somebody who is refused for what their account is finds the site itself, and how they come there. What was sent
/// cannot be taken there: only who was on the way to a page is led on by the page alone.
pub(super) fn elsewhere(reason: Reason, ctx: &RequestCtx) -> Option<Elsewhere> {
    let site = ctx.site.as_ref().filter(|_| reason.offer() == Offer::TheSite)?;
    let Elsewhere { address, other_accounts } = site.settings.customer_session.elsewhere()?;
    let wanted = ctx.wanted.clone().or_else(|| page_asked_for(ctx));
    let other_accounts = match (other_accounts, &wanted) {
        (OtherAccounts::Refuse, _) => return None,
        (OtherAccounts::HandOver, Some(_)) => OtherAccounts::HandOver,
        (OtherAccounts::Offer | OtherAccounts::HandOver, _) => OtherAccounts::Offer,
    };
    let start = site.start_page();
    Some(Elsewhere { address: destination(address, wanted.as_deref().unwrap_or(&start), &start), other_accounts })
}

/// The place at the site that was asked for here: what no plain path leads to becomes its start page.
fn destination(address: &Url, target: &str, start: &str) -> Url {
    let target = if target == "/" { start } else { target };
    [target, start].into_iter().find_map(|target| place(address, target)).unwrap_or_else(|| address.clone())
}

/// Only a place of that very origin.
fn place(address: &Url, target: &str) -> Option<Url> {
    let next = NextUrl::parse(target).ok()?;
    address.join(next.as_str()).ok().filter(|there| there.origin() == address.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b25_people_are_handed_over_to_the_site_and_nowhere_else() {
        let address = Url::parse("https://acme.atlassian.net").unwrap();
        let start = "/servicedesk/customer/portals";
        for (target, place) in [
            ("/servicedesk/customer/portal/7?q=a%20b", "/servicedesk/customer/portal/7?q=a%20b"),
            ("/", start),
            ("//evil.test/", start),
            ("/\\evil.test", start),
            ("/.vestibule/sign-in", start),
            ("/@evil.test", "/@evil.test"),
            ("/%2f%2fevil.test", start),
            ("https://evil.test/", start),
        ] {
            let there = destination(&address, target, start);
            assert_eq!(there.as_str(), format!("https://acme.atlassian.net{place}"), "{target}");
        }
    }
}
