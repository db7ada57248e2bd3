//! `redirect`: whoever has signed in goes on at the site itself, by a page that says so.
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
use super::site::Site;
use crate::pages::{self, Wants};
use crate::policy::Permit;
use crate::portal::CanonicalRequest;
use crate::refusal::{Reason, Refusal};
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
        self.customer_session(permit, site, ctx).await?;
        let there = destination(address, &request.target(), &site.start_page());
        Ok(Verdict::Reply(Outcome::Answered, pages::hand_over(&page_site(site), &there)))
    }
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
