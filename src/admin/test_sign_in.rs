//! Test sign-ins, for the operator: choose where, get a link that works once, and see what a provider sent.
//!
//! The listener asks nobody who they are. So that no page of another site can read a result through a browser that gets
//! here, these pages are served by IP address and as `localhost` only: another site cannot have such a name.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header};
use url::{Host, Url};

use crate::ids::ProviderName;
use crate::pages::{self, PORTAL_FIELD, PROVIDER_FIELD, TEST_SIGN_IN, TrialChoice};
use crate::portal::{HostName, PublicOrigin};
use crate::reply::Reply;
use crate::sign_in::trial::{TICKETS, Trials};

/// The longest form that is read, in octets.
pub const LONGEST_FORM: usize = 4096;

/// A portal where sign-ins can be tried.
#[derive(Clone, Debug)]
pub struct TestedPortal {
    /// Its host.
    pub host: HostName,
    /// What the browser calls it.
    pub origin: PublicOrigin,
    /// Its providers, with what people read of them.
    pub providers: Vec<(ProviderName, String)>,
}

/// The pages of test sign-ins.
#[derive(Debug)]
pub struct TestSignIns {
    trials: Arc<Trials>,
    portals: Vec<TestedPortal>,
}

impl TestSignIns {
    /// Tries sign-ins at `portals`.
    pub fn new(trials: Arc<Trials>, portals: Vec<TestedPortal>) -> Self {
        Self { trials, portals }
    }

    /// Whether a path is one of these pages.
    pub fn owns(path: &str) -> bool {
        path.strip_prefix(TEST_SIGN_IN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The answer to a request for a path that [`owns`](Self::owns) says yes to. `form` is what was posted.
    pub fn answer(&self, method: &Method, path: &str, headers: &HeaderMap, form: &[u8]) -> Reply {
        let Some(host) = host(headers).filter(|host| names_nobody_else(host)) else {
            let sentence = "Open this page by the IP address of the listener, or as localhost through a tunnel.\n";
            return Reply::text(StatusCode::MISDIRECTED_REQUEST, sentence);
        };
        let id = path.strip_prefix(TEST_SIGN_IN).and_then(|rest| rest.strip_prefix('/'));
        match (method, id) {
            (&Method::GET | &Method::HEAD, None) => pages::prepare_trial(&self.choices()),
            (&Method::GET | &Method::HEAD, Some(id)) => self.show(id),
            (&Method::POST, None) if is_own_form(headers, &host) => self.prepare(form),
            (&Method::POST, None) => Reply::text(StatusCode::FORBIDDEN, "The form was sent by another site.\n"),
            _ => Reply::text(StatusCode::METHOD_NOT_ALLOWED, "GET, or POST of the form.\n"),
        }
    }

    fn choices(&self) -> Vec<TrialChoice> {
        let of = |portal: &TestedPortal| TrialChoice {
            portal: portal.host.to_string(),
            providers: portal.providers.iter().map(|(name, label)| (name.to_string(), label.clone())).collect(),
        };
        self.portals.iter().map(of).collect()
    }

    fn show(&self, id: &str) -> Reply {
        let Some(trial) = self.trials.find(id) else { return pages::trial_gone() };
        match self.portals.iter().find(|portal| portal.host == trial.portal) {
            Some(portal) => pages::trial(&trial, &format!("{}{TICKETS}", portal.origin)),
            None => pages::trial_gone(),
        }
    }

    fn prepare(&self, form: &[u8]) -> Reply {
        let field = |name: &str| {
            let mut values = url::form_urlencoded::parse(form).filter(|(found, _)| found == name);
            values.next().map(|(_, value)| value.into_owned()).filter(|_| values.next().is_none())
        };
        let (portal, provider) = (field(PORTAL_FIELD), field(PROVIDER_FIELD));
        let portal = self.portals.iter().find(|one| portal.as_deref() == Some(one.host.as_str()));
        let found = portal.and_then(|portal| {
            let (name, _) = portal.providers.iter().find(|(name, _)| provider.as_deref() == Some(name.as_str()))?;
            Some((portal.host.clone(), name.clone()))
        });
        let Some((host, provider)) = found else {
            return Reply::text(StatusCode::BAD_REQUEST, "No such portal, or no such provider there.\n");
        };
        match self.trials.prepare(host, provider) {
            Ok(prepared) => Reply::see_other(&format!("{TEST_SIGN_IN}/{}", prepared.id)),
            Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

/// The one host that a request names.
fn host(headers: &HeaderMap) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?.to_owned();
    hosts.next().is_none().then_some(host)
}

/// Whether a host is an IP address or `localhost`, which no name server can point elsewhere.
fn names_nobody_else(host: &str) -> bool {
    let url = Url::parse(&format!("http://{host}/")).ok().filter(|url| url.username().is_empty() && url.path() == "/");
    match url.as_ref().and_then(Url::host) {
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whether a page of ours sent the form. A client without `Origin` and `Sec-Fetch-Site` is no browser.
fn is_own_form(headers: &HeaderMap, host: &str) -> bool {
    let origin = headers.get(header::ORIGIN).map(|origin| origin == format!("http://{host}").as_str());
    let site = headers.get("sec-fetch-site").map(|site| site == "same-origin" || site == "none");
    origin.or(site).unwrap_or(true)
}

#[cfg(test)]
mod tests;
