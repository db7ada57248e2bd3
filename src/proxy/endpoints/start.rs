//! The way to an identity provider: which one, and off to it.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{KEPT_QUERY, at, browser_of, page_site, start_of, ties_of};
use crate::clock::Stopwatch;
use crate::email::EmailAddress;
use crate::ids::ProviderName;
use crate::pages::{
    self, Choice, EMAIL_FIELD, EmailProblem, FormTargets, LocalHref, PROVIDER_FIELD, TRANSACTION_FIELD,
};
use crate::portal::settings::Choose;
use crate::proxy::Gateway;
use crate::proxy::admit::{Verdict, Visitor};
use crate::proxy::answer::Form;
use crate::proxy::context::RequestCtx;
use crate::proxy::site::Site;
use crate::refusal::{Again, Blame, Reason, Refusal};
use crate::reply::Reply;
use crate::saml::binding::post::PostForm;
use crate::session::cookie::{self, SignInKey};
use crate::sign_in::next_url::KEPT_FORMS;
use crate::sign_in::pending::LIFETIME;
use crate::sign_in::{Departure, NextUrl, StartFailed, Started, TieCookie};
use crate::telemetry::{Outcome, Step};

/// How long a browser keeps the cookie that binds its pending sign-ins.
const SIGN_IN_LASTS: Duration = Duration::from_secs(3600);

impl Gateway {
    /// Sends the visitor to the provider, or asks which one.
    pub(in crate::proxy) async fn begin_sign_in(
        &self,
        site: &Arc<Site>,
        visitor: &Visitor,
        next: NextUrl,
        tab: Tab,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        if !self.sign_in.may_begin(ties_of(visitor)) {
            return Err(Reason::SignInLoop.into());
        }
        let first = visitor.known.as_ref().is_none_or(|browser| self.sign_in.goes_first(browser.hash()));
        if !first
            && tab == Tab::Waits
            && let (Some(to), Some(here)) = (href(&next), sign_in_here(&next))
        {
            return Ok(Verdict::Reply(Outcome::SentToSignIn, pages::waits_for_tab(&page_site(site), &to, &here)));
        }
        let begun = self.begin_here(site, visitor, next, ctx).await;
        if let (Err(_), Some(browser)) = (&begun, &visitor.known) {
            self.sign_in.is_back(browser.hash());
        }
        begun
    }

    async fn begin_here(
        &self,
        site: &Arc<Site>,
        visitor: &Visitor,
        next: NextUrl,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        if let Some(home) = self.groups.home_of(site) {
            return self.ask_home(home, site, visitor, next, How::LINK);
        }
        let portal = self.signs_in_for(site, &next);
        let sign_in = &portal.settings.sign_in;
        if let (Choose::Single, Some(provider)) = (sign_in.choose, sign_in.providers.first()) {
            return self.start(site, provider, next, visitor, How::LINK, ctx).await;
        }
        let after = href(&next);
        let remembered = self
            .sign_in
            .remember(at(site), next, browser_of(visitor))
            .map_err(|error| start_refusal(&error, Again::ByThisAddress))?;
        let page = match sign_in.choose {
            Choose::ByEmail => {
                let targets = FormTargets::ours();
                pages::ask_email(&page_site(&portal), &remembered.handle, "", None, &targets, after.as_ref())
            }
            Choose::List | Choose::Single => self.provider_list(&portal, &remembered.handle, after.as_ref()),
        };
        let page = with_browser_key(page, remembered.browser_key_to_set.as_deref());
        Ok(Verdict::Reply(Outcome::SentToSignIn, page))
    }

    fn provider_list(&self, site: &Site, transaction: &str, next: Option<&LocalHref>) -> Reply {
        let providers = self.sign_in.providers();
        let choices: Vec<Choice<'_>> = site
            .settings
            .sign_in
            .providers
            .iter()
            .filter_map(|name| providers.iter().find(|provider| provider.name() == name))
            .map(|provider| Choice { provider: provider.name(), label: provider.label() })
            .collect();
        pages::choose_provider(&page_site(site), &choices, transaction, &FormTargets::ours(), next)
    }

    /// The visitor has chosen a provider, or told an e-mail address that leads to one.
    pub(super) async fn choose(
        &self,
        form: &Form,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let transaction = form.field(TRANSACTION_FIELD).unwrap_or_default();
        let browser = browser_of(visitor);
        let Some(next) = self.sign_in.recall(transaction, browser, &site.settings.host) else {
            // The page stood open for too long, or was sent by another site: ask again, from the start.
            if self.groups.home_of(site).is_some() {
                return Ok(Verdict::Reply(Outcome::SentToSignIn, Reply::see_other(pages::SIGN_IN)));
            }
            return self.begin_sign_in(site, visitor, start_of(site), Tab::Goes, ctx).await;
        };
        let portal = self.signs_in_for(site, &next);
        let among = &portal.settings.sign_in.providers;
        if let Some(raw) = form.field(EMAIL_FIELD) {
            let email = EmailAddress::parse(raw.trim());
            let problem = if email.is_ok() { EmailProblem::NoProvider } else { EmailProblem::NotAnAddress };
            let found = email.ok().and_then(|email| Some((self.sign_in.provider_for_email(&email, among)?, email)));
            let Some((provider, email)) = found else {
                let (site, next) = (page_site(&portal), href(&next));
                let targets = FormTargets::ours();
                let page = pages::ask_email(&site, transaction, raw, Some(problem), &targets, next.as_ref());
                return Ok(Verdict::Reply(Outcome::SentToSignIn, page));
            };
            let how = How { hint: Some(&email), ..How::FORM };
            return self.start(site, &provider, next, visitor, how, ctx).await;
        }
        let chosen = form.field(PROVIDER_FIELD).and_then(|name| ProviderName::parse(name).ok());
        match chosen.filter(|name| among.contains(name)) {
            Some(provider) => self.start(site, &provider, next, visitor, How::FORM, ctx).await,
            None => {
                let page = self.provider_list(&portal, transaction, href(&next).as_ref());
                Ok(Verdict::Reply(Outcome::SentToSignIn, page))
            }
        }
    }

    pub(super) async fn start(
        &self,
        site: &Arc<Site>,
        provider: &ProviderName,
        next: NextUrl,
        visitor: &Visitor,
        how: How<'_>,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let watch = Stopwatch::start();
        let ties = ties_of(visitor);
        let started = if how.again {
            self.sign_in.start_again(at(site), provider, next, ties).await
        } else if how.restarts > 0 {
            self.sign_in.restart(at(site), provider, next, ties, how.restarts).await
        } else {
            self.sign_in.start(at(site), provider, next, ties, how.hint).await
        };
        ctx.exchange.took(Step::SignIn, watch.elapsed());
        self.metrics.provider_is_up(provider.as_str(), started.is_ok());
        let started = started.map_err(|error| {
            self.metrics.sign_in_ended(provider.as_str(), error.reason());
            start_refusal(&error, if how.by_form { Again::FromTheStart } else { Again::ByThisAddress })
        })?;
        self.depart(&started, how, site)
    }

    /// Sends the browser off.
    pub(super) fn depart(&self, started: &Started, how: How<'_>, site: &Site) -> Result<Verdict, Refusal> {
        let reply = match &started.departure {
            Departure::Redirect(location) => go_to(location, how.by_form, site),
            Departure::Post(form) => post_to(form, site)?,
        };
        Ok(Verdict::Reply(Outcome::SentToSignIn, with_tie(reply, started.cookie.as_ref())))
    }
}

/// What a tab does when another one of the same browser has just gone to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Tab {
    /// It waits for the other one.
    Waits,
    /// It goes, too: somebody wants to sign in here.
    Goes,
}

/// Where somebody goes on, as a link.
fn href(next: &NextUrl) -> Option<LocalHref> {
    LocalHref::parse(next.as_str()).ok()
}

/// The way to sign in in this very tab.
fn sign_in_here(next: &NextUrl) -> Option<LocalHref> {
    let query = match next.as_str().strip_prefix(KEPT_FORMS) {
        Some(handle) => format!("{KEPT_QUERY}{handle}"),
        None => url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next.as_str()).finish(),
    };
    LocalHref::parse(&format!("/.vestibule/sign-in?{query}")).ok()
}

/// How a sign-in starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct How<'a> {
    /// Whether a form was posted: see [`go_to`].
    pub(super) by_form: bool,
    /// Who the visitor says they are.
    pub(super) hint: Option<&'a EmailAddress>,
    /// Whether the provider has to ask again: the visitor wants to be somebody else.
    pub(super) again: bool,
    /// How often this sign-in was begun again already.
    pub(super) restarts: u8,
}

impl How<'_> {
    pub(super) const LINK: Self = Self { by_form: false, hint: None, again: false, restarts: 0 };
    pub(super) const FORM: Self = Self { by_form: true, hint: None, again: false, restarts: 0 };
}

/// On to a provider. Browsers hold every redirect after a posted form against our `form-action` policy, wherever the
/// provider redirects to in turn; a page in between ends the form's navigation.
pub(super) fn go_to(location: &Url, by_form: bool, site: &Site) -> Reply {
    if by_form { pages::go_on(&page_site(site), location) } else { Reply::see_other(location.as_str()) }
}

/// On to a provider by a form.
pub(super) fn post_to(form: &PostForm, site: &Site) -> Result<Reply, Refusal> {
    let broken = |_| Refusal::with_detail(Reason::Internal, "the provider's address is no URL");
    let destination = Url::parse(&form.action).map_err(broken)?;
    let fields: Vec<(&str, &str)> = form.fields().collect();
    Ok(pages::post_on(&page_site(site), &destination, &fields))
}

/// With the cookie that the browser is to keep until it comes back.
pub(super) fn with_tie(reply: Reply, cookie: Option<&TieCookie>) -> Reply {
    match cookie {
        Some(TieCookie::SignIn(key)) => with_browser_key(reply, Some(key)),
        Some(TieCookie::Posted(key)) => match SignInKey::parse(key) {
            Some(key) => reply.with_cookie(cookie::set_posted_sign_in(&key, LIFETIME)),
            None => reply,
        },
        None => reply,
    }
}

pub(super) fn with_browser_key(reply: Reply, key: Option<&str>) -> Reply {
    match key.and_then(SignInKey::parse) {
        Some(key) => reply.with_cookie(cookie::set_sign_in(&key, SIGN_IN_LASTS)),
        None => reply,
    }
}

pub(super) fn start_refusal(error: &StartFailed, again: Again) -> Refusal {
    let reason = Reason::SignIn { label: error.reason(), blame: Blame::ProviderUnavailable, again };
    Refusal::with_detail(reason, error.to_string())
}
