//! A portal, ready to serve: its settings, rules, upstream, customers, and the two-way rewriting of its address.

use std::sync::Arc;

use url::Url;

use super::rewriting::{Rewriting, RewritingFailed};
use super::upstream::{Upstream, UpstreamUnusable};
use crate::customer::CustomerSessions;
use crate::customer::cloud::BrowserWalks;
use crate::customer::cloud::identity_provider::SiteIdentityProvider;
use crate::limits::{Attempts, CreationLog, Creations};
use crate::nodes::Nodes;
use crate::pages::Look;
use crate::policy::{Admission, Rules};
use crate::portal::settings::{CustomerSessionSettings, PortalSettings};
use crate::portal::{HostName, JsmPaths};
use crate::telemetry::metrics::ExchangesOf;

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
    pub creations: Option<Arc<Creations>>,
    /// Counts who tries to sign in; `None` without a limit.
    pub attempts: Option<Arc<Attempts>>,
    /// Where requests go.
    pub upstream: Arc<Upstream>,
    /// Whose sessions are injected.
    pub customers: CustomerSessions,
    /// The gateway as the identity provider of the site's customers, where it is.
    pub identity_provider: Option<Arc<SiteIdentityProvider>>,
    /// The ways to a customer session that browsers go, where they do.
    pub walks: Option<Arc<BrowserWalks>>,
    /// How our own pages look.
    pub look: Look,
    /// What is rewritten, both ways.
    pub rewriting: Rewriting,
    /// Its exchanges, as they are counted.
    pub exchanges: Arc<ExchangesOf>,
}

/// What a portal is made of, besides its settings.
#[derive(Debug)]
pub struct SiteParts {
    /// Whose sessions are injected.
    pub customers: CustomerSessions,
    /// The gateway as the identity provider of the site's customers, where it is.
    pub identity_provider: Option<Arc<SiteIdentityProvider>>,
    /// The ways to a customer session that browsers go, where they do.
    pub walks: Option<Arc<BrowserWalks>>,
    /// Where the site is reached.
    pub nodes: Arc<Nodes>,
    /// Where the counts of requests are kept.
    pub log: Arc<dyn CreationLog>,
    /// How its exchanges are counted.
    pub exchanges: Arc<ExchangesOf>,
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
    /// Prepares a portal. What `before`, the same portal of an earlier configuration, has learned and counted is kept where it
    /// still means the same.
    ///
    /// # Errors
    /// When its upstream cannot be used.
    pub fn new(settings: PortalSettings, parts: SiteParts, before: Option<&Self>) -> Result<Self, SiteUnusable> {
        let SiteParts { customers, identity_provider, walks, nodes, log, exchanges } = parts;
        let host = settings.host.clone();
        let unusable = |source: SiteFault| SiteUnusable { host: host.clone(), source };
        let same_limits = before.filter(|before| before.settings.limits == settings.limits);
        let upstream = Upstream::new(&settings.upstream, settings.limits, nodes).map_err(|e| unusable(e.into()))?;
        let rewriting = Rewriting::new(&settings).map_err(|e| unusable(e.into()))?;
        let is_jsm = settings.customer_session.is_jsm();
        let jsm = is_jsm.then(|| JsmPaths::new(settings.upstream.url.path()));
        let limits = settings.limits.creations;
        let counts = limits.per_day.or(limits.per_minute).is_some() && is_jsm;
        let counted = same_limits.and_then(|before| before.creations.clone());
        let new_count = || Arc::new(Creations::new(settings.host.clone(), limits, log));
        let rate = settings.limits.sign_in_attempts;
        let tried = same_limits.and_then(|before| before.attempts.clone());
        Ok(Self {
            admission: Admission::new(&settings.admission),
            rules: Rules::new(&settings.rules, jsm),
            creations: counts.then(|| counted.unwrap_or_else(new_count)),
            attempts: rate.map(|rate| tried.unwrap_or_else(|| Arc::new(Attempts::new(rate)))),
            upstream: Arc::new(upstream),
            customers,
            identity_provider,
            walks,
            look: Look::new(&settings.look),
            rewriting,
            exchanges,
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
