//! Vestibule's own pages and endpoints below `/.vestibule/`. Reached by their exact path only; nothing here is forwarded.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use pingora::proxy::Session;
use url::Url;

use super::Gateway;
use super::admit::{Verdict, Visitor};
use super::answer::Form;
use super::context::RequestCtx;
use super::refuse;
use super::same_origin::is_same_origin;
use super::site::Site;
use crate::clock::Stopwatch;
use crate::email::EmailAddress;
use crate::ids::ProviderName;
use crate::pages::{
    self, ASSETS, Choice, EMAIL_FIELD, EmailProblem, FormTargets, Language, LocalHref, PROVIDER_FIELD, ProviderSession,
    TRANSACTION_FIELD,
};
use crate::portal::CanonicalRequest;
use crate::portal::settings::Choose;
use crate::refusal::{Blame, Reason, Refusal};
use crate::reply::Reply;
use crate::session::Ended;
use crate::session::cookie::{self, Presented, SignInKey};
use crate::sign_in::{At, Callback, NextUrl, StartFailed, VerifiedIdentity};
use crate::telemetry::{Outcome, Step};

/// How long a browser keeps the cookie that binds its pending sign-ins.
const SIGN_IN_LASTS: Duration = Duration::from_secs(3600);

/// Tabs of one browser whose sign-ins end within this time share the session of the first.
const ONE_SIGN_IN: Duration = Duration::from_secs(60);

impl Gateway {
    /// Answers a request for something of ours.
    pub(super) async fn serve_own(
        &self,
        http: &mut Session,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        // The raw path, so that no other spelling of it gets here.
        let path = request.path();
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        let post = *request.method() == Method::POST;
        if post && !is_same_origin(&http.req_header().headers, &site.settings.public_origin) {
            return Err(Reason::CrossOrigin.into());
        }
        match path {
            "/.vestibule/sign-in" if get => {
                let next = next_of(request).unwrap_or_else(|| start_of(site));
                self.begin_sign_in(site, visitor, next, ctx).await
            }
            "/.vestibule/sign-in" if post => {
                let form = Form::read(http, self.limits.idle_time).await?;
                self.choose(&form, site, visitor, ctx).await
            }
            "/.vestibule/sign-out" if get => Ok(self.ask_to_sign_out(site, visitor)),
            "/.vestibule/sign-out" if post => {
                let form = Form::read(http, self.limits.idle_time).await?;
                self.sign_out(&form, site, visitor, ctx).await
            }
            "/.vestibule/signed-out" if get => {
                let reply = pages::signed_out(&page_site(site), ProviderSession::MayContinue, &start_href(site));
                Ok(Verdict::Reply(Outcome::Answered, reply))
            }
            _ if get && path.starts_with(ASSETS) => {
                let asset = pages::asset(path, &http.req_header().headers).ok_or(Reason::NoSuchEndpoint)?;
                Ok(Verdict::Reply(Outcome::Answered, asset))
            }
            _ => match callback_provider(path).filter(|_| get) {
                Some(provider) => self.call_back(&provider, request, site, visitor, ctx).await,
                None => Err(Reason::NoSuchEndpoint.into()),
            },
        }
    }

    /// Sends the visitor to the provider, or asks which one.
    pub(super) async fn begin_sign_in(
        &self,
        site: &Arc<Site>,
        visitor: &Visitor,
        next: NextUrl,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let sign_in = &site.settings.sign_in;
        if let (Choose::Single, Some(provider)) = (sign_in.choose, sign_in.providers.first()) {
            return self.start(site, provider, next, visitor, How::LINK, ctx).await;
        }
        let remembered =
            self.sign_in.remember(at(site), next, browser_of(visitor)).map_err(|error| start_refusal(&error))?;
        let page = match sign_in.choose {
            Choose::ByEmail => pages::ask_email(&page_site(site), &remembered.handle, "", None, &FormTargets::ours()),
            Choose::List | Choose::Single => self.provider_list(site, &remembered.handle),
        };
        let page = with_browser_key(page, remembered.browser_key_to_set.as_deref());
        Ok(Verdict::Reply(Outcome::SentToSignIn, page))
    }

    fn provider_list(&self, site: &Site, transaction: &str) -> Reply {
        let providers = self.sign_in.providers();
        let choices: Vec<Choice<'_>> = site
            .settings
            .sign_in
            .providers
            .iter()
            .filter_map(|name| providers.iter().find(|provider| provider.name() == name))
            .map(|provider| Choice { provider: provider.name(), label: provider.label() })
            .collect();
        pages::choose_provider(&page_site(site), &choices, transaction, &FormTargets::ours())
    }

    /// The visitor has chosen a provider, or told an e-mail address that leads to one.
    async fn choose(
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
            return self.begin_sign_in(site, visitor, start_of(site), ctx).await;
        };
        let among = &site.settings.sign_in.providers;
        if let Some(raw) = form.field(EMAIL_FIELD) {
            let email = EmailAddress::parse(raw.trim());
            let problem = if email.is_ok() { EmailProblem::NoProvider } else { EmailProblem::NotAnAddress };
            let found = email.ok().and_then(|email| Some((self.sign_in.provider_for_email(&email, among)?, email)));
            let Some((provider, email)) = found else {
                let page = pages::ask_email(&page_site(site), transaction, raw, Some(problem), &FormTargets::ours());
                return Ok(Verdict::Reply(Outcome::SentToSignIn, page));
            };
            let how = How { hint: Some(&email), ..How::FORM };
            return self.start(site, &provider, next, visitor, how, ctx).await;
        }
        let chosen = form.field(PROVIDER_FIELD).and_then(|name| ProviderName::parse(name).ok());
        match chosen.filter(|name| among.contains(name)) {
            Some(provider) => self.start(site, &provider, next, visitor, How::FORM, ctx).await,
            None => Ok(Verdict::Reply(Outcome::SentToSignIn, self.provider_list(site, transaction))),
        }
    }

    async fn start(
        &self,
        site: &Arc<Site>,
        provider: &ProviderName,
        next: NextUrl,
        visitor: &Visitor,
        how: How<'_>,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let watch = Stopwatch::start();
        let browser = browser_of(visitor);
        let started = if how.again {
            self.sign_in.start_again(at(site), provider, next, browser).await
        } else if how.restarts > 0 {
            self.sign_in.restart(at(site), provider, next, browser, how.restarts).await
        } else {
            self.sign_in.start(at(site), provider, next, browser, how.hint).await
        };
        ctx.exchange.took(Step::SignIn, watch.elapsed());
        self.metrics.provider_is_up(provider.as_str(), started.is_ok());
        let started = started.map_err(|error| {
            self.metrics.sign_in_ended(provider.as_str(), error.reason());
            start_refusal(&error)
        })?;
        let reply = go_to(&started.location, how.by_form, site);
        let reply = with_browser_key(reply, started.browser_key_to_set.as_deref());
        Ok(Verdict::Reply(Outcome::SentToSignIn, reply))
    }

    /// The provider sends the visitor back.
    async fn call_back(
        &self,
        provider: &ProviderName,
        request: &CanonicalRequest,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        if !site.settings.sign_in.providers.contains(provider) {
            return Err(Reason::NoSuchEndpoint.into());
        }
        let watch = Stopwatch::start();
        let query = request.query().unwrap_or_default();
        let outcome = self.sign_in.callback(at(site), provider, query, browser_of(visitor)).await;
        ctx.exchange.took(Step::SignIn, watch.elapsed());
        match outcome {
            // Tabs that expired together sign in together: the first one opens the session for all.
            Callback::SignedIn { identity, next, .. } if self.was_faster(visitor, &identity) => {
                Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(next.as_str())))
            }
            Callback::SignedIn { identity, id_token, next } => {
                self.signed_in(identity, id_token, &next, site, visitor, ctx).await
            }
            // Already signed in by another tab: go on. Else once more, from the start.
            Callback::Stale { next, .. } if visitor.session.is_some() => {
                Ok(Verdict::Reply(Outcome::Answered, Reply::see_other(next.as_str())))
            }
            // Nobody knows any more where to: the start page.
            Callback::Stale { next, restarts } => {
                let next = if next == NextUrl::root() { start_of(site) } else { next };
                self.start(site, provider, next, visitor, How { restarts, ..How::LINK }, ctx).await
            }
            Callback::LoopBroken => {
                self.metrics.sign_in_ended(provider.as_str(), "sign_in_loop");
                Err(Reason::SignInLoop.into())
            }
            Callback::Refused { rejected, .. } => {
                self.metrics.sign_in_ended(provider.as_str(), rejected.reason());
                Err(refuse::sign_in_refusal(&rejected))
            }
        }
    }

    /// Whether another tab of the same browser has just signed the same person in. The session then is of this very
    /// sign-in, in all that counts: the same browser, provider and person, a moment ago.
    fn was_faster(&self, visitor: &Visitor, identity: &VerifiedIdentity) -> bool {
        visitor.session.as_ref().is_some_and(|session| {
            let theirs = session.identity();
            let same = (theirs.provider(), theirs.issuer(), theirs.subject());
            same == (identity.provider(), identity.issuer(), identity.subject())
                && self.clock.now().since(session.opened()) < ONE_SIGN_IN
        })
    }

    /// Admission, then a new session under a new id; the one before it ends (security case C2).
    async fn signed_in(
        &self,
        identity: VerifiedIdentity,
        id_token: crate::secret::Secret,
        next: &NextUrl,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let provider = identity.provider().clone();
        if let Err(reason) = site.admission.admit(&identity) {
            self.metrics.sign_in_ended(provider.as_str(), reason.reason());
            return Err(Reason::NotAdmitted(reason).into());
        }
        let client = ctx.exchange.client().unwrap_or(std::net::IpAddr::from([0, 0, 0, 0]));
        let watch = Stopwatch::start();
        let opened = self.sessions.open(identity, Some(id_token), site.settings.host.clone(), client).await;
        ctx.exchange.took(Step::Store, watch.elapsed());
        self.metrics.session_store_is_up(opened.is_ok());
        let (id, session) = opened.map_err(|error| {
            self.metrics.sign_in_ended(provider.as_str(), error.label());
            Refusal::with_detail(Reason::SessionStore { label: error.label() }, error.to_string())
        })?;
        ctx.exchange.of_session(*session.hash(), &provider);
        self.metrics.sign_in_ended(provider.as_str(), "signed_in");
        self.metrics.sessions_changed("opened", 1);
        if let Some(before) = &visitor.session {
            self.end(before, site).await;
        }
        let reply = Reply::see_other(next.as_str()).with_cookie(cookie::set_session(&id));
        Ok(Verdict::Reply(Outcome::Answered, reply))
    }

    /// A link, even one of another site, only gets this page (security case C8).
    fn ask_to_sign_out(&self, site: &Site, visitor: &Visitor) -> Verdict {
        let reply = match &visitor.session {
            Some(session) => {
                let person = session.identity().display_name();
                pages::sign_out(&page_site(site), Some(person), &[], &FormTargets::ours())
            }
            None => pages::signed_out(&page_site(site), ProviderSession::MayContinue, &start_href(site)),
        };
        Verdict::Reply(Outcome::Answered, reply)
    }

    /// Ends the session and the customer session; then, where that is wanted, the provider's.
    async fn sign_out(
        &self,
        form: &Form,
        site: &Arc<Site>,
        visitor: &Visitor,
        ctx: &mut RequestCtx,
    ) -> Result<Verdict, Refusal> {
        let mut at_provider = None;
        if let Some(session) = &visitor.session {
            let return_to = format!("{}/.vestibule/signed-out", site.settings.public_origin);
            at_provider = self.sign_in.sign_out_location(session.identity(), session.id_token(), &return_to).await;
            if !self.end(session, site).await {
                return Err(Reason::SessionStore { label: "session_store_unavailable" }.into());
            }
        }
        // Somebody who was refused wants to be somebody else: the provider has to ask who they are.
        if form.field("then") == Some("sign-in") {
            let providers = &site.settings.sign_in.providers;
            if let ([provider], None) = (providers.as_slice(), &at_provider) {
                let how = How { again: true, ..How::FORM };
                let started = self.start(site, provider, start_of(site), visitor, how, ctx).await?;
                return Ok(clear_session(started));
            }
            if at_provider.is_none() {
                return Ok(clear_session(Verdict::Reply(Outcome::Answered, Reply::see_other("/.vestibule/sign-in"))));
            }
        }
        let reply = match &at_provider {
            Some(location) => go_to(location, true, site),
            None => Reply::see_other("/.vestibule/signed-out"),
        };
        Ok(clear_session(Verdict::Reply(Outcome::Answered, reply)))
    }

    /// Ends one session, here and upstream. `false` when the store did not take it: then the visitor is told.
    async fn end(&self, session: &Arc<crate::session::LiveSession>, site: &Site) -> bool {
        match self.sessions.end(session).await {
            Ok(Ended::Now(customer_session)) => {
                self.metrics.sessions_changed("ended", 1);
                if let Some(customer_session) = customer_session {
                    site.customers.end(&customer_session).await;
                }
                true
            }
            Ok(Ended::Before) => true,
            Err(error) => {
                tracing::error!(%error, session = %session.hash(), "a session could not be ended in the store");
                self.metrics.session_store_is_up(false);
                false
            }
        }
    }
}

/// How a sign-in starts.
#[derive(Clone, Copy, Debug)]
struct How<'a> {
    /// Whether a form was posted: see [`go_to`].
    by_form: bool,
    /// Who the visitor says they are.
    hint: Option<&'a EmailAddress>,
    /// Whether the provider has to ask again: the visitor wants to be somebody else.
    again: bool,
    /// How often this sign-in was begun again already.
    restarts: u8,
}

impl How<'_> {
    const LINK: Self = Self { by_form: false, hint: None, again: false, restarts: 0 };
    const FORM: Self = Self { by_form: true, hint: None, again: false, restarts: 0 };
}

/// On to a provider. Browsers hold every redirect after a posted form against our `form-action` policy, wherever the
/// provider redirects to in turn; a page in between ends the form's navigation.
fn go_to(location: &Url, by_form: bool, site: &Site) -> Reply {
    if by_form { pages::go_on(&page_site(site), location) } else { Reply::see_other(location.as_str()) }
}

fn at(site: &Site) -> At<'_> {
    At { portal: &site.settings.host, origin: &site.settings.public_origin }
}

fn page_site(site: &Site) -> pages::Site<'_> {
    pages::Site { name: Some(site.settings.host.as_str()), language: Language::English }
}

fn browser_of(visitor: &Visitor) -> Option<&str> {
    match &visitor.cookies.sign_in {
        Presented::One(key) => Some(key.reveal()),
        Presented::None | Presented::Ambiguous | Presented::Malformed => None,
    }
}

fn with_browser_key(reply: Reply, key: Option<&str>) -> Reply {
    match key.and_then(SignInKey::parse) {
        Some(key) => reply.with_cookie(cookie::set_sign_in(&key, SIGN_IN_LASTS)),
        None => reply,
    }
}

fn clear_session(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Reply(outcome, reply) => Verdict::Reply(outcome, reply.with_cookie(cookie::clear_session())),
        Verdict::Forward(forwarding) => Verdict::Forward(forwarding),
    }
}

fn start_of(site: &Site) -> NextUrl {
    NextUrl::parse(&site.start_page()).unwrap_or_else(|_| NextUrl::root())
}

fn start_href(site: &Site) -> LocalHref {
    LocalHref::parse(&site.start_page()).unwrap_or_else(|_| LocalHref::start())
}

/// `next`, as a script may give it when it sends the visitor to sign in. A path of this host or nothing.
fn next_of(request: &CanonicalRequest) -> Option<NextUrl> {
    let query = request.query()?;
    let mut values = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "next");
    let next = NextUrl::parse(&values.next()?.1).ok()?;
    values.next().is_none().then_some(next)
}

/// `/.vestibule/oidc/{provider}/callback`.
fn callback_provider(path: &str) -> Option<ProviderName> {
    let name = path.strip_prefix("/.vestibule/oidc/")?.strip_suffix("/callback")?;
    ProviderName::parse(name).ok()
}

fn start_refusal(error: &StartFailed) -> Refusal {
    let reason = Reason::SignIn { label: error.reason(), blame: Blame::ProviderUnavailable };
    Refusal::with_detail(reason, error.to_string())
}
