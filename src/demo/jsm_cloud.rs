//! A look-alike of Jira Service Management Cloud: the customer portal, the REST calls beside it, and the host beside the site.
//!
//! Owns its people, sessions, desks and requests, all in memory. It is as strict as the real one where that is documented, and
//! where it is not, strict in what nobody may rely on: it checks Origin, Referer and XSRF tokens, rights and scopes, unknown
//! parameters and fields, writes absolute URLs of itself into everything, and shows a customer nothing but their own requests
//! and those of their organizations. Switches and faults make it behave as sites do on a bad day.

mod accounts;
mod api_host;
mod attachments;
mod counters;
mod credentials;
mod customers;
mod desks;
mod extract;
mod guard;
mod login;
mod mail;
mod models;
mod organizations;
mod pages;
mod participants;
mod platform;
mod properties;
mod rate_limit;
mod requests;
mod saml;
mod sessions;
mod state;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post, put};

pub use self::accounts::{Account, AccountType, Role};
pub use self::credentials::{MANAGE_CUSTOMERS, READ_REQUESTS, READ_USERS, WRITE_REQUESTS};
pub use self::mail::{Mail, MailKind};
pub use self::rate_limit::RateLimit;
pub use self::requests::{Attachment, Comment, CustomerRequest};
pub use self::saml::ProviderRefused;
pub use self::sessions::COOKIES_OF_A_SESSION;
pub use self::state::{Captcha, Switches};
pub use super::jsm::faults::{Fault, FaultKind, Gate};

use self::credentials::Through;
use self::guard::{Area, Route};
use self::problem::Problem;
use self::state::State;
use super::jsm::faults::BadDays;
use super::jsm::{assets, html, problem};
use crate::clock::{Clock, Timestamp};
use crate::random::{NoRandomness, Random};
use crate::secret::Secret;

/// The largest upload that is taken, in bytes.
const LARGEST_BODY: usize = 64 * 1024 * 1024;
/// The address of the service account that the gateway calls by.
pub const SERVICE_ACCOUNT: &str = "svc-vestibule@jsm.internal";
/// The password of every seeded customer.
pub const SEED_PASSWORD: &str = "correct-horse-battery";

/// The handle: clones share one site.
#[derive(Clone)]
pub struct JsmCloud {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    random: Random,
    state: Mutex<State>,
    days: BadDays,
    session_key: Secret,
}

impl JsmCloud {
    /// A fresh site with the seeded people: the service account [`SERVICE_ACCOUNT`] (administrator), `agent@jsm.internal`,
    /// the customers `carla@example.com`, `chen@example.com` and `cleo@example.com`, `left.person@example.com`
    /// (deactivated), `atla@example.com` (an Atlassian account) and `twin@example.com` (both). Desk `1` is open to every
    /// customer; desk `10` to its members.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(clock: Clock, random: Random) -> Result<Self, NoRandomness> {
        let session_key = Secret::generated(random.token()?);
        let state = Mutex::new(State::seeded(&random, clock.now())?);
        let shared = Shared { clock, random, state, days: BadDays::default(), session_key };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Under which URL people see this site, such as `https://acme.jsm.internal:8444`; no slash at the end.
    pub fn set_base_url(&self, base: &str) {
        self.state().base_url = base.trim_end_matches('/').to_owned();
    }

    /// The URL under which people see this site.
    pub fn base_url(&self) -> String {
        self.state().base_url.clone()
    }

    /// The URL of the host beside the site, which [`JsmCloud::beside_router`] serves; no slash at the end.
    pub fn set_atlassian_url(&self, base: &str) {
        self.state().atlassian_url = Some(base.trim_end_matches('/').to_owned());
    }

    /// The id of the site, below which the host beside it has its REST: `/ex/jira/{cloudId}`.
    pub fn cloud_id(&self) -> String {
        self.state().cloud_id.clone()
    }

    /// The URL that scoped tokens are good for, when there is a host beside the site.
    pub fn api_url(&self) -> Option<String> {
        let state = self.state();
        let beside = state.atlassian_url.as_ref()?;
        Some(format!("{beside}/ex/jira/{}", state.cloud_id))
    }

    /// A classic token of the service account.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn service_token(&self) -> Result<Secret, NoRandomness> {
        self.make_classic_token(&self.service_account())
    }

    /// The id of the service account.
    pub fn service_account(&self) -> String {
        let state = self.state();
        let service = state.accounts.iter().find(|account| account.email == SERVICE_ACCOUNT);
        service.map(|account| account.account_id.clone()).unwrap_or_default()
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
        let routes = portal_routes(rest_routes(Routes::new(self)));
        api_host::saml_routes(routes).finish()
    }

    /// The host beside the site as a router: `/ex/jira/{cloudId}` for scoped tokens, and the exchange of single sign-on.
    /// Tell the site where it is by [`JsmCloud::set_atlassian_url`].
    pub fn beside_router(&self) -> Router {
        api_host::router(self)
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

    /// The site's URL as it is seen through that host.
    fn seen_through(&self, through: Through) -> String {
        match through {
            Through::Site => self.base_url(),
            Through::ApiHost => self.api_url().unwrap_or_else(|| self.base_url()),
        }
    }
}

impl std::fmt::Debug for JsmCloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JsmCloud(..)")
    }
}

/// REST for tokens and sessions.
fn rest_routes(routes: Routes) -> Routes {
    use Area::{Customers, Open, People, Requests};
    routes
        .add(Open, "/rest/servicedeskapi/info", get(desks::info))
        .add(Open, "/rest/api/{version}/serverInfo", get(platform::server_info))
        .add(People, "/rest/api/{version}/myself", get(platform::myself))
        .add(People, "/rest/api/{version}/mypermissions", get(platform::my_permissions))
        .add(People, "/rest/api/{version}/user", get(platform::user))
        .add(People, "/rest/api/{version}/user/search", get(platform::search))
        .add(Customers, "/rest/servicedeskapi/customer", post(customers::create))
        .add(
            Customers,
            "/rest/servicedeskapi/customer/user/{accountId}/revoke-portal-only-access",
            put(customers::revoke),
        )
        .add(
            Customers,
            "/rest/servicedeskapi/servicedesk/{id}/customer",
            get(customers::list).post(customers::add).delete(customers::remove),
        )
        .add(Customers, "/rest/servicedeskapi/servicedesk/{id}/customer/invite", post(customers::invite))
        .add(
            Customers,
            "/rest/servicedeskapi/servicedesk/{id}/organization",
            get(organizations::of_desk).post(organizations::link).delete(organizations::unlink),
        )
        .add(Customers, "/rest/servicedeskapi/organization", get(organizations::list).post(organizations::create))
        .add(Customers, "/rest/servicedeskapi/organization/{id}", get(organizations::one).delete(organizations::delete))
        .add(
            Customers,
            "/rest/servicedeskapi/organization/{id}/user",
            get(organizations::users).post(organizations::add_users).delete(organizations::remove_users),
        )
        .add(Customers, "/rest/servicedeskapi/organization/{id}/property", get(properties::keys))
        .add(
            Customers,
            "/rest/servicedeskapi/organization/{id}/property/{key}",
            get(properties::get).put(properties::put).delete(properties::delete),
        )
        .add(Requests, "/rest/servicedeskapi/servicedesk", get(desks::list))
        .add(Requests, "/rest/servicedeskapi/servicedesk/{id}", get(desks::one))
        .add(Requests, "/rest/servicedeskapi/servicedesk/{id}/requesttype", get(desks::request_types))
        .add(Requests, "/rest/servicedeskapi/servicedesk/{id}/requesttype/{type}", get(desks::request_type))
        .add(Requests, "/rest/servicedeskapi/servicedesk/{id}/requesttype/{type}/field", get(desks::fields))
        .add(Requests, "/rest/servicedeskapi/servicedesk/{id}/requesttypegroup", get(desks::groups))
        .add(
            Requests,
            "/rest/servicedeskapi/servicedesk/{id}/attachTemporaryFile",
            post(attachments::attach_temporary_file),
        )
        .add(Requests, "/rest/servicedeskapi/servicedesk/{id}/knowledgebase/article", get(desks::desk_articles))
        .add(Requests, "/rest/servicedeskapi/knowledgebase/article", get(desks::articles))
        .add(Requests, "/rest/servicedeskapi/requesttype", get(desks::all_request_types))
        .add(Requests, "/rest/servicedeskapi/request", get(requests::list).post(requests::create))
        .add(Requests, "/rest/servicedeskapi/request/{key}", get(requests::one))
        .add(
            Requests,
            "/rest/servicedeskapi/request/{key}/comment",
            get(requests::comments).post(requests::add_comment),
        )
        .add(Requests, "/rest/servicedeskapi/request/{key}/comment/{id}", get(requests::comment))
        .add(Requests, "/rest/servicedeskapi/request/{key}/status", get(requests::statuses))
        .add(
            Requests,
            "/rest/servicedeskapi/request/{key}/participant",
            get(participants::list).post(participants::add).delete(participants::remove),
        )
        .add(
            Requests,
            "/rest/servicedeskapi/request/{key}/attachment",
            get(attachments::list).post(attachments::attach),
        )
        .add(Requests, "/rest/servicedeskapi/request/{key}/attachment/{id}", get(attachments::download))
        .add(Requests, "/rest/servicedeskapi/request/{key}/attachment/{id}/thumbnail", get(attachments::download))
}

/// Pages, and what their scripts call.
fn portal_routes(routes: Routes) -> Routes {
    use Area::{Open, Portal, Visitors};
    routes
        .add(Open, "/_edge/tenant_info", get(platform::tenant_info))
        .add(Visitors, "/jsd-login/v1/authentication/authenticate", post(login::first))
        .add(Visitors, "/jsd-login-v2/v2/customer/login/authenticate", post(login::second))
        .add(Visitors, "/jsd-login/v1/saml/complete", get(saml::complete))
        .add(Visitors, "/servicedesk/customer/user/login", get(login::page))
        .add(Visitors, "/servicedesk/customer/user/logout", get(login::logout).post(login::logout))
        .add(Visitors, "/servicedesk/customer/user/set-password", get(mail::password_page).post(mail::set_password))
        .add(Visitors, "/rest/servicedesk/1/customer/pages/user/signup", post(mail::sign_up))
        .add(Visitors, "/rest/servicedesk/1/customer/pages/user/forgot-password", post(mail::forgot_password))
        .add(Open, "/rest/servicedesk/1/pages/people/customers/pagination/{key}/invite", post(mail::invite_many))
        .add(Open, "/rest/servicedesk/1/pages/people/customers/pagination/{key}/invite/resend", post(mail::invite_many))
        .add(Portal, "/rest/servicedesk/1/customer/models", post(models::models))
        .add(Portal, "/rest/servicedesk/1/customer/portal/{id}/user-search", get(models::user_search))
        .add(Portal, "/rest/servicedesk/1/customer/portal/{id}/user-search/proforma", get(models::user_search))
        .add(Portal, "/rest/servicedesk/cmdb/1/customer/portal/{id}/autocomplete", post(models::assets))
        .add(Portal, "/gateway/api/graphql", post(models::graphql))
        .add(
            Portal,
            "/gateway/api/proforma/portal/cloudid/{cloudId}/portal/{id}/requesttype/{type}/form",
            get(models::form),
        )
        .add(Visitors, "/rest/servicedesk/1/customer/viewport-resources/portal-logo/{id}", get(assets::logo))
        .add(Visitors, "/s/portal/1/brand.svg", get(assets::logo))
        .add(Visitors, "/s/portal/1/portal.css", get(assets::css))
        .add(Visitors, "/s/portal/1/portal.js", get(assets::js))
        .add(Portal, "/servicedesk/customer/portals", get(pages::portals))
        .add(Portal, "/servicedesk/customer/portal/{id}", get(pages::portal))
        .add(Portal, "/servicedesk/customer/portal/{id}/{key}", get(pages::request))
        .add(Portal, "/servicedesk/customer/portal/{id}/{key}/comment", post(pages::comment))
        .add(Portal, "/servicedesk/customer/portal/{id}/create/{type}", get(pages::create_form).post(pages::create))
        .add(Portal, "/servicedesk/customer/user/requests", get(pages::my_requests))
        .add(Visitors, "/servicedesk/customer/kb/view/{number}", get(pages::article))
        .add(Portal, "/browse/{key}", get(pages::browse))
        .add(Visitors, "/servicedesk/customer", get(pages::to_portals))
        .add(Visitors, "/", get(pages::to_portals))
}

/// Puts the guard before every route, with the route's own name for the counters.
struct Routes {
    jsm: JsmCloud,
    router: Router<JsmCloud>,
}

impl Routes {
    fn new(jsm: &JsmCloud) -> Self {
        Self { jsm: jsm.clone(), router: Router::new() }
    }

    fn add(mut self, area: Area, path: &'static str, methods: MethodRouter<JsmCloud>) -> Self {
        let guarded = methods.layer(from_fn_with_state((self.jsm.clone(), Route { path, area }), guard::guard));
        self.router = self.router.route(path, guarded);
        self
    }

    fn finish(self) -> Router {
        let missing = any(async || Problem::page(http::StatusCode::NOT_FOUND, "This page does not exist."));
        let route = Route { path: "unmatched", area: Area::Visitors };
        let guarded = missing.layer(from_fn_with_state((self.jsm.clone(), route), guard::guard));
        self.router
            .fallback_service(guarded.with_state(()))
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(self.jsm)
    }
}
