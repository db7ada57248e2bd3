//! The walk: from the portal's login to the session's cookie, one answer after the other.

use std::collections::HashSet;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;
use url::{Origin, Url, form_urlencoded};

use super::cookies::Cookies;
use super::page::{Form, Page};
use crate::clock::Timestamp;
use crate::customer::cloud::identity_provider::{NotAnswered, SiteIdentityProvider};
use crate::customer::cloud::site::is_authentication_cookie;
use crate::customer::cloud::{CloudSite, SESSION_COOKIE, firewall};
use crate::customer::death::path_of;
use crate::customer::jar::Jar;
use crate::customer::upstream::text_body;
use crate::customer::{BrokerFailed, Customer, UpstreamFailed};
use crate::http_client::{Answer, Call, allowed};
use crate::saml::binding::{Arrived, post, redirect};
use crate::saml::message::MessageRefused;

/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";
const FORM_TYPE: HeaderValue = HeaderValue::from_static(FORM);
/// Calls of one walk: the longest that is known takes six.
const MOST_CALLS: usize = 12;
/// Where people with an Atlassian account sign in.
const ATLASSIAN_LOGIN: &str = "id.atlassian.com";
/// The portal's own login.
const PORTAL_LOGIN: &str = "/servicedesk/customer/user/login";

/// One walk.
pub(in crate::customer::cloud) struct Walk<'a> {
    pub(super) site: &'a CloudSite,
    pub(super) provider: &'a SiteIdentityProvider,
    pub(super) hosts: &'a [Origin],
    pub(super) customer: &'a Customer,
    pub(super) now: Timestamp,
    pub(super) deadline: Instant,
    pub(super) shown: Shown,
    pub(super) way: Way,
}

/// What a walk has been given and has seen so far: it can rest while a browser has its turn.
#[derive(Debug, Default)]
pub(in crate::customer::cloud) struct Way {
    cookies: Cookies,
    seen: HashSet<String>,
    answered: bool,
}

/// Who sees the pages on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::customer::cloud) enum Shown {
    /// Nobody: what needs a script is the end of it.
    ToNobody,
    /// The visitor's browser, which runs their scripts.
    ToTheBrowser,
}

/// Where a walk has come to.
#[derive(Debug)]
pub(in crate::customer::cloud) enum Reached {
    /// The site has set a session's cookie.
    Session,
    /// An answer that is the browser's to go on from, and where it is from.
    Page(Url, Box<Answer>),
}

/// The next step.
pub(in crate::customer::cloud) enum Step {
    Get(Url),
    Post(Url, HeaderValue, Bytes),
    Show(Url, Answer),
}

impl Way {
    /// The cookies of that host.
    pub fn into_jar_of(self, url: &Url) -> Jar {
        self.cookies.into_jar_of(url)
    }
}

impl Walk<'_> {
    /// What is left of it for another time.
    pub fn into_way(self) -> Way {
        self.way
    }

    /// Walks on until the site has set a session's cookie, or a page needs a browser.
    pub async fn run(&mut self, mut step: Step) -> Result<Reached, BrokerFailed> {
        for _ in 0..MOST_CALLS {
            let (url, call) = match step {
                Step::Show(url, answer) => return Ok(Reached::Page(url, Box::new(answer))),
                Step::Get(url) => (url.clone(), Call::get(url)),
                Step::Post(url, media_type, body) => {
                    let call = Call::post(url.clone(), FORM, body).with_header(CONTENT_TYPE, media_type);
                    (url, call)
                }
            };
            let mut call = call.accepting("text/html,application/xhtml+xml");
            if let Some(cookies) = self.way.cookies.header(&url) {
                call = call.with_header(COOKIE, cookies);
            }
            let answer = self.site.send(call, self.deadline).await?;
            self.way.cookies.take(&url, &answer, self.now);
            let at_site = self.way.cookies.of(self.site.url());
            if at_site.is_some_and(|jar| jar.holds(SESSION_COOKIE) || jar.holds_any(is_atlassian)) {
                return Ok(Reached::Session);
            }
            step = self.after(url, answer)?;
        }
        Err(BrokerFailed::LedElsewhere("a circle".to_owned()))
    }

    /// What an answer means.
    fn after(&mut self, url: Url, answer: Answer) -> Result<Step, BrokerFailed> {
        let status = answer.status;
        if status == StatusCode::ACCEPTED || firewall::has_answered(status, &answer.headers) {
            return Err(BrokerFailed::LoginBlocked);
        }
        if status.is_redirection() {
            let location = answer.headers.get(http::header::LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            return self.go_on(next.ok_or(UpstreamFailed::Unexpected("begin a sign-on"))?);
        }
        if status.is_success() && answer.media_type() == "text/html" {
            return self.after_page(url, answer);
        }
        if self.shown == Shown::ToTheBrowser && (status.is_success() || !self.way.answered) {
            return Ok(Step::Show(url, answer));
        }
        Err(match status {
            _ if self.way.answered => self.refused(),
            StatusCode::NOT_FOUND | StatusCode::GONE => BrokerFailed::SingleSignOnOff,
            StatusCode::FORBIDDEN => BrokerFailed::LoginBlocked,
            _ => UpstreamFailed::Unexpected("begin a sign-on").into(),
        })
    }

    fn after_page(&mut self, url: Url, answer: Answer) -> Result<Step, BrokerFailed> {
        let page = Page::read(&answer.body);
        if let Some(form) = page.self_posting()
            && let Ok(action) = url.join(&form.action)
        {
            return self.post(action, form);
        }
        let resolved = |address: &String| url.join(address).ok();
        if let Some(next) = page.refresh.as_ref().and_then(resolved) {
            return self.go_on(next);
        }
        if self.shown == Shown::ToTheBrowser {
            return Ok(Step::Show(url, answer));
        }
        if self.way.answered {
            return Err(self.refused());
        }
        // A page that goes on by script names where to somewhere. Only what looks like the start of single sign-on is tried.
        let next = page.addresses.iter().filter_map(resolved).find(|next| {
            let fits = self.is_ours(next) || path_says_saml(next) && self.may_go_to(next);
            fits && !self.way.seen.contains(next.as_str())
        });
        match next {
            Some(next) => self.go_on(next),
            // Neither a login nor anything else that leads somewhere: what is shown to robots.
            None if page.is_bare() => Err(UpstreamFailed::HtmlInsteadOfJson.into()),
            None => Err(BrokerFailed::SingleSignOnOff),
        }
    }

    /// Goes to `url`, or answers where it is ours.
    pub fn go_on(&mut self, url: Url) -> Result<Step, BrokerFailed> {
        if self.is_ours(&url) {
            return self.answer(redirect::read(url.query().unwrap_or_default()));
        }
        if url.host_str() == Some(ATLASSIAN_LOGIN) {
            return Err(BrokerFailed::AtlassianAccount(self.customer.account().to_owned()));
        }
        if self.way.answered && path_of(url.as_str()).ends_with(PORTAL_LOGIN) {
            return Err(self.refused());
        }
        self.vet(&url)?;
        self.way.seen.insert(url.as_str().to_owned());
        Ok(Step::Get(url))
    }

    /// Posts what a page posts by itself, or answers where it is ours.
    fn post(&mut self, action: Url, form: &Form) -> Result<Step, BrokerFailed> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.hidden).finish();
        if self.is_ours(&action) {
            return self.answer(post::read(body.as_bytes()));
        }
        self.post_as_it_is(action, FORM_TYPE, text_body(body))
    }

    /// Posts what a browser has posted.
    pub fn post_as_it_is(&mut self, url: Url, media_type: HeaderValue, body: Bytes) -> Result<Step, BrokerFailed> {
        self.vet(&url)?;
        Ok(Step::Post(url, media_type, body))
    }

    /// The answer to what the site asks, which is given once.
    pub fn answer(&mut self, arrived: Result<Arrived, MessageRefused>) -> Result<Step, BrokerFailed> {
        if self.way.answered {
            return Err(self.refused());
        }
        let refused = |why: &dyn std::fmt::Display| BrokerFailed::SignOnRequestRefused(why.to_string());
        let asked = arrived.map_err(|why| refused(&why))?;
        let asked = self.provider.asked(asked, self.now).map_err(|why| refused(&why))?;
        let form = self.provider.answer(asked, self.customer.address(), self.now).map_err(|why| match why {
            NotAnswered::NoRandomness(none) => UpstreamFailed::NoRandomness(none).into(),
            why => {
                tracing::error!(%why, "the gateway's key as an identity provider does not sign");
                BrokerFailed::NotSigned
            }
        })?;
        self.way.answered = true;
        let action = Url::parse(&form.action).map_err(|_| UpstreamFailed::Unexpected("where are answers taken?"))?;
        self.vet(&action)?;
        let body =
            form_urlencoded::Serializer::new(String::with_capacity(32 * 1024)).extend_pairs(form.fields()).finish();
        self.post_as_it_is(action, FORM_TYPE, text_body(body))
    }

    fn refused(&self) -> BrokerFailed {
        BrokerFailed::SignOnRefused(self.customer.account().to_owned())
    }

    /// Whether an address is our own sign-on address, whatever its query.
    fn is_ours(&self, url: &Url) -> bool {
        let Ok(ours) = Url::parse(self.provider.sign_on()) else { return false };
        url.origin() == ours.origin() && url.path() == ours.path()
    }

    fn may_go_to(&self, url: &Url) -> bool {
        let origin = url.origin();
        allowed(url) && (origin == self.site.url().origin() || self.hosts.contains(&origin))
    }

    fn vet(&self, url: &Url) -> Result<(), BrokerFailed> {
        match self.may_go_to(url) {
            true => Ok(()),
            // The host alone: what stands behind it may be a secret.
            false => Err(BrokerFailed::LedElsewhere(url.host_str().unwrap_or("nowhere").chars().take(253).collect())),
        }
    }
}

fn is_atlassian(name: &str) -> bool {
    is_authentication_cookie(name) && name.ends_with(".session.token")
}

fn path_says_saml(url: &Url) -> bool {
    url.path().split('/').any(|segment| segment.eq_ignore_ascii_case("saml") || segment.eq_ignore_ascii_case("sso"))
}
