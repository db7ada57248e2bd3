//! A portal, ready to serve: its settings, rules, upstream, customers, and the two-way rewriting of its address.

use std::sync::Arc;

use super::rewrite::{OriginRewriter, RewriterFailed};
use super::upstream::{Upstream, UpstreamUnusable};
use crate::clock::Clock;
use crate::customer::CustomerSessions;
use crate::policy::Admission;
use crate::portal::HostName;
use crate::portal::settings::{Access, CustomerSessionSettings, PortalSettings};

/// A portal, ready to serve.
#[derive(Debug)]
pub struct Site {
    /// What the operator wrote.
    pub settings: PortalSettings,
    /// Who may be a customer.
    pub admission: Admission,
    /// Where requests go.
    pub upstream: Arc<Upstream>,
    /// Whose sessions are injected.
    pub customers: CustomerSessions,
    /// Upstream address to public address.
    pub to_public: OriginRewriter,
    /// Public address to upstream address.
    pub to_upstream: OriginRewriter,
}

/// A portal cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("portal {host}: {source}")]
pub struct SiteUnusable {
    /// Which one.
    pub host: HostName,
    /// Why.
    pub source: SiteFault,
}

/// Why a portal cannot be served.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum SiteFault {
    #[error(transparent)]
    Upstream(#[from] UpstreamUnusable),
    #[error(transparent)]
    Rewriter(#[from] RewriterFailed),
}

/// Pages of JSM's own that have no meaning behind the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativePage {
    /// JSM's sign-in, sign-up and password pages: the visitor is signed in by us.
    SignIn,
    /// JSM's sign-out: ours ends both sessions.
    SignOut,
}

impl Site {
    /// Prepares a portal.
    ///
    /// # Errors
    /// When its upstream cannot be used.
    pub fn new(settings: PortalSettings, customers: CustomerSessions, clock: Clock) -> Result<Self, SiteUnusable> {
        let host = settings.host.clone();
        let unusable = |source: SiteFault| SiteUnusable { host: host.clone(), source };
        let upstream = Upstream::new(&settings.upstream, settings.limits, clock).map_err(|e| unusable(e.into()))?;
        let public = settings.public_origin.as_str();
        let to_public = OriginRewriter::new(upstream.origin(), public).map_err(|e| unusable(e.into()))?;
        let to_upstream = OriginRewriter::new(public, upstream.origin()).map_err(|e| unusable(e.into()))?;
        Ok(Self {
            admission: Admission::new(&settings.admission),
            upstream: Arc::new(upstream),
            customers,
            to_public,
            to_upstream,
            settings,
        })
    }

    /// What a path needs: the first rule that matches, else a session.
    pub fn access(&self, decoded_path: &str) -> Access {
        let rule = self.settings.rules.iter().find(|rule| rule.path.matches(decoded_path));
        rule.map_or(Access::SignedIn, |rule| rule.access)
    }

    /// The page of JSM's own that stands at `decoded_path` and that we answer in its place.
    pub fn native_page(&self, decoded_path: &str) -> Option<NativePage> {
        if matches!(self.settings.customer_session, CustomerSessionSettings::None) {
            return None;
        }
        let context = self.settings.upstream.url.path().trim_end_matches('/');
        let path = decoded_path.strip_prefix(context)?.trim_end_matches('/');
        match path {
            "/servicedesk/customer/user/login"
            | "/servicedesk/customer/user/signup"
            | "/servicedesk/customer/user/forgotpassword"
            | "/login.jsp"
            | "/secure/ForgotLoginDetails.jspa"
            | "/secure/Signup!default.jspa" => Some(NativePage::SignIn),
            "/servicedesk/customer/user/logout"
            | "/servicedesk/customer/logout"
            | "/logout"
            | "/secure/Logout.jspa"
            | "/secure/Logout!default.jspa" => Some(NativePage::SignOut),
            _ => None,
        }
    }

    /// Where a visitor goes who asked for nothing in particular.
    pub fn start_page(&self) -> String {
        if matches!(self.settings.customer_session, CustomerSessionSettings::None) {
            return "/".into();
        }
        format!("{}/servicedesk/customer/portals", self.settings.upstream.url.path().trim_end_matches('/'))
    }
}
