//! A portal, ready to serve: its settings, rules, upstream, customers, and the two-way rewriting of its address.

use std::sync::Arc;

use url::Url;

use super::rewriting::{Rewriting, RewritingFailed};
use super::upstream::{Upstream, UpstreamUnusable};
use crate::clock::Clock;
use crate::customer::CustomerSessions;
use crate::customer::cloud::BrowserWalks;
use crate::customer::cloud::identity_provider::SiteIdentityProvider;
use crate::limits::{Attempts, CreationLog, Creations};
use crate::policy::{Admission, Rules};
use crate::portal::settings::{CustomerSessionSettings, PortalSettings};
use crate::portal::{HostName, JsmPaths};

/// A portal, ready to serve.
#[derive(Debug)]
pub struct Site {
    /// What the operator wrote.
    pub settings: PortalSettings,
    /// Who may be a customer.
    pub admission: Admission,
    /// What paths demand.
    pub rules: Rules,
    /// Counts what customers make; `None` without a limit.
    pub creations: Option<Creations>,
    /// Counts who tries to sign in; `None` without a limit.
    pub attempts: Option<Attempts>,
    /// Where requests go.
    pub upstream: Arc<Upstream>,
    /// Whose sessions are injected.
    pub customers: CustomerSessions,
    /// The gateway as the identity provider of the site's customers, where it is.
    pub identity_provider: Option<Arc<SiteIdentityProvider>>,
    /// The ways to a customer session that browsers go, where they do.
    pub walks: Option<BrowserWalks>,
    /// What is rewritten, both ways.
    pub rewriting: Rewriting,
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
    Rewriting(#[from] RewritingFailed),
}

impl Site {
    /// Prepares a portal.
    ///
    /// # Errors
    /// When its upstream cannot be used.
    pub fn new(
        settings: PortalSettings,
        customers: CustomerSessions,
        identity_provider: Option<Arc<SiteIdentityProvider>>,
        walks: Option<BrowserWalks>,
        log: Arc<dyn CreationLog>,
        clock: Clock,
    ) -> Result<Self, SiteUnusable> {
        let host = settings.host.clone();
        let unusable = |source: SiteFault| SiteUnusable { host: host.clone(), source };
        let upstream = Upstream::new(&settings.upstream, settings.limits, clock).map_err(|e| unusable(e.into()))?;
        let rewriting = Rewriting::new(&settings).map_err(|e| unusable(e.into()))?;
        let is_jsm = settings.customer_session.is_jsm();
        let jsm = is_jsm.then(|| JsmPaths::new(settings.upstream.url.path()));
        let limits = settings.limits.creations;
        let counts = limits.per_day.or(limits.per_minute).is_some() && is_jsm;
        Ok(Self {
            admission: Admission::new(&settings.admission),
            rules: Rules::new(&settings.rules, jsm),
            creations: counts.then(|| Creations::new(settings.host.clone(), limits, log)),
            attempts: settings.limits.sign_in_attempts.map(Attempts::new),
            upstream: Arc::new(upstream),
            customers,
            identity_provider,
            walks,
            rewriting,
            settings,
        })
    }

    /// The origin at which people go on who have signed in here, where nobody is served here.
    pub fn hands_over_to(&self) -> Option<&Url> {
        match &self.settings.customer_session {
            CustomerSessionSettings::Redirect(settings) => Some(&settings.elsewhere.address),
            _ => None,
        }
    }

    /// Whether we answer in place of Cloudflare Access.
    pub fn has_cloudflare_paths(&self) -> bool {
        matches!(&self.settings.customer_session, CustomerSessionSettings::TrustedJwt(settings) if settings.cloudflare_paths)
    }

    /// Where a visitor goes who asked for nothing in particular.
    pub fn start_page(&self) -> String {
        if !self.settings.customer_session.is_jsm() {
            return "/".into();
        }
        format!("{}/servicedesk/customer/portals", self.settings.upstream.url.path().trim_end_matches('/'))
    }
}
