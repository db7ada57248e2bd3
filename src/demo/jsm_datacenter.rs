//! A look-alike of Jira Service Management Data Center: the customer portal and the REST calls beside it.
//!
//! Owns its people, sessions, desks and requests, all in memory. It is as strict as the real one: it checks XSRF tokens,
//! Origin and Referer, rights, CAPTCHA and cookies, writes absolute URLs of its base URL into everything, and shows a
//! customer nothing but their own requests. Switches and faults make it behave as sites do on a bad day.

mod access_plugin;
mod accounts;
mod attachments;
mod counters;
mod guard;
mod login;
mod models;
mod organizations;
mod pages;
mod paging;
mod people;
mod platform;
mod requests;
mod service_desk;
mod sessions;
mod state;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, delete, get, post, put};

pub use self::accounts::{Directory, User};
pub use self::requests::{Attachment, Comment, CustomerRequest};
pub use self::sessions::COOKIES_OF_A_SESSION;
pub use self::state::{Captcha, Switches};

use self::problem::Problem;
use self::state::State;
use super::jsm::faults::BadDays;
pub use super::jsm::faults::{Fault, FaultKind, Gate};
use super::jsm::{assets, html, problem};
use crate::clock::{Clock, Timestamp};
use crate::random::{NoRandomness, Random};
use crate::secret::Secret;

/// The largest upload that is taken, in bytes.
const LARGEST_BODY: usize = 64 * 1024 * 1024;
/// The user name of the service account that the gateway calls by.
pub const SERVICE_ACCOUNT: &str = "svc-vestibule";
/// The password of every seeded person but the service account.
pub const SEED_PASSWORD: &str = "correct-horse-battery";

/// The handle: clones share one site.
#[derive(Clone)]
pub struct JsmDataCenter {
    shared: Arc<Shared>,
    /// Which node of the site it is.
    node: u32,
}

struct Shared {
    clock: Clock,
    random: Random,
    state: Mutex<State>,
    days: BadDays,
    service_password: Secret,
    service_token: Secret,
}

impl JsmDataCenter {
    /// A fresh site with the seeded people: the service account [`SERVICE_ACCOUNT`] (administrator, with a token),
    /// `agent` (licensed), `admin` (administrator), `ldap.person` (read-only directory), `left.person` (deactivated)
    /// and the customers `carla@example.com`, `chen@example.com` and `cleo@example.com`. Desk `1` is open to every
    /// customer; desk `10` to its members.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(clock: Clock, random: Random) -> Result<Self, NoRandomness> {
        let service_password = Secret::generated(random.token()?);
        let service_token = Secret::generated(random.token()?);
        let state = State::seeded(&service_password, &service_token);
        let (state, days) = (Mutex::new(state), BadDays::default());
        let shared = Shared { clock, random, state, days, service_password, service_token };
        Ok(Self { shared: Arc::new(shared), node: 0 })
    }

    /// The node of that number, of the same site: it has the same accounts and requests, and knows no session that another one has
    /// opened. The site itself is number 0.
    #[must_use]
    pub fn at_node(&self, node: u32) -> Self {
        Self { shared: Arc::clone(&self.shared), node }
    }

    /// Under which URL people see this site, such as `https://jsm.internal:8444`; no slash at the end.
    pub fn set_base_url(&self, base: &str) {
        self.state().base_url = base.trim_end_matches('/').to_owned();
    }

    /// The URL under which people see this site.
    pub fn base_url(&self) -> String {
        self.state().base_url.clone()
    }

    /// The service account's password, for Basic authentication.
    pub fn service_password(&self) -> &Secret {
        &self.shared.service_password
    }

    /// The service account's personal access token.
    pub fn service_token(&self) -> &Secret {
        &self.shared.service_token
    }

    /// Turns what can be turned on and off.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.state().switches);
    }

    /// Waits until `found` gives something; asks again whenever an exchange has begun or ended.
    pub async fn wait_for<T>(&self, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        self.shared.days.wait_for(|| found(self)).await
    }

    /// Replaces the faults; none of them is how it behaves well.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.days.set_faults(faults);
    }

    /// Holds every call whose path begins with `path`, before it has any effect.
    pub fn hold(&self, path: &str) -> Gate {
        self.shared.days.hold(path)
    }

    /// How many calls are being held now.
    pub fn held(&self) -> usize {
        self.shared.days.held()
    }

    /// The site as a router, for [`Server::start`](super::server::Server::start).
    pub fn router(&self) -> Router {
        Routes { jsm: self.clone(), router: Router::new() }
            .add("/rest/auth/1/session", get(login::who).post(login::rest_session).delete(login::end_session))
            .add("/rest/tsv/1.0/authenticate", post(login::two_step))
            .add("/login.jsp", get(login::jira_login_page))
            .add("/servicedesk/customer/user/login", get(login::login_page).post(login::legacy_form))
            .add("/servicedesk/customer/user/logout", get(login::logout).post(login::logout))
            .add("/status", get(platform::status))
            .add("/rest/api/2/serverInfo", get(platform::server_info))
            .add("/rest/api/2/myself", get(people::myself))
            .add("/rest/api/2/mypermissions", get(people::my_permissions))
            .add("/rest/api/2/user", get(people::user).post(people::create).put(people::update))
            .add("/rest/api/2/user/search", get(people::search))
            .add("/rest/api/2/user/password", put(people::set_password))
            .add("/rest/api/2/user/session/{username}", delete(people::end_sessions))
            .add("/rest/api/2/group", post(platform::create_group))
            .add("/rest/api/2/group/user", post(platform::join_group))
            .add("/rest/api/2/group/member", get(platform::group_members))
            .add("/rest/servicedeskapi/info", get(service_desk::info))
            .add("/rest/servicedeskapi/customer", post(service_desk::create_customer))
            .add("/rest/servicedeskapi/servicedesk", get(service_desk::desks))
            .add("/rest/servicedeskapi/servicedesk/{id}", get(service_desk::desk))
            .add("/rest/servicedeskapi/servicedesk/{id}/requesttype", get(service_desk::request_types))
            .add(
                "/rest/servicedeskapi/servicedesk/{id}/customer",
                get(service_desk::customers).post(service_desk::add_customers).delete(service_desk::remove_customers),
            )
            .add(
                "/rest/servicedeskapi/servicedesk/{id}/organization",
                get(organizations::of_desk).post(organizations::link).delete(organizations::unlink),
            )
            .add("/rest/servicedeskapi/servicedesk/{id}/attachTemporaryFile", post(attachments::attach_temporary_file))
            .add("/rest/servicedeskapi/organization", get(organizations::list).post(organizations::create))
            .add("/rest/servicedeskapi/organization/{id}", get(organizations::one).delete(organizations::delete))
            .add(
                "/rest/servicedeskapi/organization/{id}/user",
                get(organizations::users).post(organizations::add_users).delete(organizations::remove_users),
            )
            .add("/rest/servicedeskapi/portals", get(service_desk::portals))
            .add("/rest/servicedeskapi/portals/{id}", get(service_desk::portal))
            .add("/rest/servicedeskapi/portals/project/{key}", get(service_desk::portal_of_project))
            .add("/rest/servicedeskapi/request", get(requests::list).post(requests::create))
            .add("/rest/servicedeskapi/request/{key}", get(requests::one))
            .add("/rest/servicedeskapi/request/{key}/comment", get(requests::comments).post(requests::add_comment))
            .add("/rest/servicedeskapi/request/{key}/attachment", get(attachments::list).post(attachments::attach))
            .add("/rest/servicedesk/1/customer/models", post(models::models))
            .add("/rest/servicedesk/1/customer/portal/{id}/user-search", get(people::portal_user_search))
            .add("/rest/servicedesk/1/customer/viewport-resources/portal-logo/{id}", get(assets::logo))
            .add("/servicedesk/customer/portals", get(pages::portals))
            .add("/servicedesk/customer/portal/{id}", get(pages::portal))
            .add("/servicedesk/customer/portal/{id}/{key}", get(pages::request))
            .add("/servicedesk/customer/portal/{id}/{key}/comment", post(pages::comment))
            .add("/servicedesk/customer/portal/{id}/create/{type}", get(pages::create_form).post(pages::create))
            .add("/servicedesk/customer/user/requests", get(pages::my_requests))
            .add("/servicedesk/customer/kb/view/{number}", get(pages::article))
            .add("/secure/attachment/{id}/{name}", get(attachments::download))
            .add("/s/portal/1/portal.css", get(assets::css))
            .add("/s/portal/1/portal.js", get(assets::js))
            .add("/browse/{key}", get(pages::browse))
            .add("/servicedesk/customer", get(pages::to_portals))
            .add("/", get(pages::to_portals))
            .finish()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn random(&self) -> &Random {
        &self.shared.random
    }

    fn tell(&self) {
        self.shared.days.tell();
    }
}

impl std::fmt::Debug for JsmDataCenter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JsmDataCenter(..)")
    }
}

/// Puts the guard before every route, with the route's own name for the counters.
struct Routes {
    jsm: JsmDataCenter,
    router: Router<JsmDataCenter>,
}

impl Routes {
    fn add(mut self, path: &'static str, methods: MethodRouter<JsmDataCenter>) -> Self {
        let guarded = methods.layer(from_fn_with_state((self.jsm.clone(), path), guard::guard));
        self.router = self.router.route(path, guarded);
        self
    }

    fn finish(self) -> Router {
        let missing = any(async || Problem::page(http::StatusCode::NOT_FOUND, "This page does not exist."));
        let guarded = missing.layer(from_fn_with_state((self.jsm.clone(), "unmatched"), guard::guard));
        self.router
            .fallback_service(guarded.with_state(()))
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(self.jsm)
    }
}

/// Sessions idle longer than this are dead, unless a switch says otherwise (300 minutes, as Tomcat is set for Jira).
const IDLE_LIMIT: Duration = Duration::from_secs(300 * 60);
