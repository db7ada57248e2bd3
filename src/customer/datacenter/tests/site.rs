//! A Data Center site of the size that these tests need: accounts, logins, sessions, and switches for what goes wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub const TOKEN: &str = "service-token";

#[derive(Clone, Debug, Default)]
pub struct Person {
    pub email: String,
    pub password: String,
    pub inactive: bool,
    pub read_only: bool,
    pub captcha: bool,
    /// Has rights that no group tells of.
    pub hidden_administrator: bool,
    pub groups: BTreeSet<String>,
    pub roles: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Works,
    Missing,
    Page,
    /// Accepts and sets no cookie.
    NoCookie,
    SecondStep,
}

#[derive(Debug)]
pub struct Switches {
    pub rest: Way,
    pub form: Way,
    pub tsv: Way,
    pub token_expired: bool,
    pub token_not_administrator: bool,
    pub basic_off: bool,
    pub everything_is_a_page: bool,
    /// `(how many, Retry-After)` answers of 429.
    pub rate_limit: Option<(usize, u64)>,
    pub failing: bool,
    /// Largest page of a search, whatever is asked for.
    pub page_cap: usize,
    /// New accounts are unknown to that many look-ups.
    pub appears_after: usize,
    pub wrong_customer: bool,
    /// The next so many passwords are lost on the way.
    pub lost_passwords: usize,
    pub emails_hidden: bool,
    pub desk_unknown: bool,
    pub group_unknown: bool,
    /// No group can be made.
    pub groups_closed: bool,
}

#[derive(Debug)]
struct Inner {
    people: BTreeMap<String, Person>,
    desks: BTreeMap<String, BTreeSet<String>>,
    sessions: HashMap<String, String>,
    unseen: HashMap<String, usize>,
    calls: Vec<String>,
    switches: Switches,
    next: usize,
}

/// The site. Clones share it.
#[derive(Clone, Debug)]
pub struct Site {
    inner: Arc<Mutex<Inner>>,
    /// A login takes one permit and gives none back while [`Site::hold_logins`] is on.
    gate: Arc<Semaphore>,
    pub address: SocketAddr,
}

type Reply = Response<Body>;

impl Site {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let switches = Switches {
            rest: Way::Works,
            form: Way::Works,
            tsv: Way::Works,
            token_expired: false,
            token_not_administrator: false,
            basic_off: false,
            everything_is_a_page: false,
            rate_limit: None,
            failing: false,
            page_cap: 50,
            appears_after: 0,
            wrong_customer: false,
            lost_passwords: 0,
            emails_hidden: false,
            desk_unknown: false,
            group_unknown: false,
            groups_closed: false,
        };
        let inner = Inner {
            people: BTreeMap::new(),
            desks: BTreeMap::new(),
            sessions: HashMap::new(),
            unseen: HashMap::new(),
            calls: Vec::new(),
            switches,
            next: 0,
        };
        let site = Self {
            inner: Arc::new(Mutex::new(inner)),
            gate: Arc::new(Semaphore::new(1_000_000)),
            address: listener.local_addr().unwrap(),
        };
        let router = Router::new().fallback(handle).with_state(site.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        site
    }

    pub fn set(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.inner.lock().unwrap().switches);
    }

    pub fn add(&self, name: &str, email: &str, change: impl FnOnce(&mut Person)) {
        let mut person = Person { email: email.to_owned(), password: "their own".to_owned(), ..Person::default() };
        change(&mut person);
        self.inner.lock().unwrap().people.insert(name.to_owned(), person);
    }

    pub fn change(&self, name: &str, change: impl FnOnce(&mut Person)) {
        change(self.inner.lock().unwrap().people.get_mut(name).unwrap());
    }

    pub fn person(&self, name: &str) -> Option<Person> {
        self.inner.lock().unwrap().people.get(name).cloned()
    }

    pub fn people(&self) -> usize {
        self.inner.lock().unwrap().people.len()
    }

    pub fn desk(&self, id: &str) -> Vec<String> {
        self.inner.lock().unwrap().desks.get(id).into_iter().flatten().cloned().collect()
    }

    pub fn calls(&self, method_and_path: &str) -> usize {
        self.inner.lock().unwrap().calls.iter().filter(|call| call.starts_with(method_and_path)).count()
    }

    pub fn all_calls(&self) -> Vec<String> {
        self.inner.lock().unwrap().calls.clone()
    }

    pub fn open_sessions(&self) -> usize {
        self.inner.lock().unwrap().sessions.len()
    }

    pub fn kill_sessions(&self) {
        self.inner.lock().unwrap().sessions.clear();
    }

    /// From now on logins wait.
    pub fn hold_logins(&self) {
        self.gate.forget_permits(1_000_000);
    }

    pub fn release_logins(&self) {
        self.gate.add_permits(1_000_000);
    }
}

fn json_reply(status: u16, body: Value) -> Reply {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    Response::builder().status(status).header("content-type", "application/json").body(Body::from(text)).unwrap()
}

fn page(status: u16) -> Reply {
    Response::builder()
        .status(status)
        .header("content-type", "text/html;charset=UTF-8")
        .body(Body::from("<!doctype html><title>Log in</title>"))
        .unwrap()
}

fn platform_error(status: u16, message: &str) -> Reply {
    json_reply(status, json!({ "errorMessages": [message], "errors": {} }))
}

fn desk_error(status: u16, message: &str) -> Reply {
    json_reply(
        status,
        json!({ "errorMessage": message, "i18nErrorMessage": { "i18nKey": "sd.error", "parameters": [] } }),
    )
}

async fn handle(State(site): State<Site>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Reply {
    let path = uri.path().to_owned();
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    {
        let mut inner = site.inner.lock().unwrap();
        inner.calls.push(format!("{method} {path}"));
        if inner.switches.failing {
            return page(502);
        }
        if let Some((left, after)) = inner.switches.rate_limit
            && left > 0
        {
            inner.switches.rate_limit = Some((left - 1, after));
            return Response::builder().status(429).header("retry-after", after).body(Body::empty()).unwrap();
        }
        if inner.switches.everything_is_a_page {
            return page(200);
        }
    }
    let is_login = matches!(
        (method.as_str(), path.as_str()),
        (
            "POST",
            "/jira/rest/auth/1/session" | "/jira/servicedesk/customer/user/login" | "/jira/rest/tsv/1.0/authenticate"
        )
    );
    if is_login {
        assert!(headers.get("authorization").is_none(), "a login carries no service credentials");
        let _ = site.gate.acquire().await.unwrap();
    }
    let mut inner = site.inner.lock().unwrap();
    let Some(path) = path.strip_prefix("/jira/") else { return page(404) };
    inner.answer(&method, path, &query, &headers, &body)
}

impl Inner {
    fn answer(
        &mut self,
        method: &Method,
        path: &str,
        query: &HashMap<String, String>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Reply {
        match (method.as_str(), path) {
            ("POST", "rest/auth/1/session") => {
                let body: Value = serde_json::from_slice(body).unwrap();
                let (name, password) = (body["username"].as_str().unwrap(), body["password"].as_str().unwrap());
                self.log_in(self.switches.rest, name, password, false)
            }
            ("POST", "rest/tsv/1.0/authenticate") => {
                assert_eq!(query["os_authType"], "none");
                let body: Value = serde_json::from_slice(body).unwrap();
                let (name, password) = (body["username"].as_str().unwrap(), body["password"].as_str().unwrap());
                self.log_in(self.switches.tsv, name, password, false)
            }
            ("POST", "servicedesk/customer/user/login") => {
                assert_eq!(headers["x-atlassian-token"], "no-check");
                let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
                self.log_in(self.switches.form, &form["os_username"], &form["os_password"], true)
            }
            ("GET", "rest/auth/1/session") => match self.customer(headers) {
                Some(_) if self.switches.wrong_customer => json_reply(200, json!({ "name": "somebody-else" })),
                Some(name) => json_reply(200, json!({ "name": name, "self": "x" })),
                None => platform_error(401, "You are not authenticated."),
            },
            ("DELETE", "rest/auth/1/session") => match session_id(headers) {
                Some(id) if self.sessions.remove(&id).is_some() => json_reply(204, Value::Null),
                _ => platform_error(401, "You are not authenticated."),
            },
            ("GET", "rest/api/2/mypermissions") if headers.get("cookie").is_some() => {
                let name = self.customer(headers).unwrap();
                permissions(self.people[&name].hidden_administrator)
            }
            _ => self.service(method, path, query, headers, body),
        }
    }

    fn log_in(&mut self, way: Way, name: &str, password: &str, is_form: bool) -> Reply {
        match way {
            Way::Works => {}
            Way::Missing => return page(404),
            Way::Page => return page(200),
            Way::NoCookie if is_form => return json_reply(200, json!({ "loginSucceeded": true })),
            Way::NoCookie => return json_reply(200, json!({})),
            Way::SecondStep => return json_reply(200, json!({ "twoStepVerificationRequired": true })),
        }
        let Some(person) = self.people.get(name) else { return platform_error(401, "Login failed") };
        if person.captcha {
            let mut reply = platform_error(403, "Login denied");
            let reason = "CAPTCHA_CHALLENGE; login-url=http://127.0.0.1/login.jsp";
            reply.headers_mut().insert("x-authentication-denied-reason", reason.parse().unwrap());
            reply.headers_mut().insert("x-seraph-loginreason", "AUTHENTICATION_DENIED".parse().unwrap());
            return reply;
        }
        if person.password != password {
            if is_form {
                return json_reply(200, json!({ "loginSucceeded": false, "captchaFailure": false }));
            }
            let mut reply = platform_error(401, "Login failed");
            reply.headers_mut().insert("x-seraph-loginreason", "AUTHENTICATED_FAILED".parse().unwrap());
            return reply;
        }
        self.next += 1;
        let id = format!("session-{}", self.next);
        self.sessions.insert(id.clone(), name.to_owned());
        let body = json!({ "loginSucceeded": true, "session": { "name": "JSESSIONID", "value": id }, "loginInfo": {} });
        let mut reply = json_reply(200, body);
        for cookie in [
            format!("JSESSIONID={id}; Path=/jira; HttpOnly"),
            format!("atlassian.xsrf.token=B_{id}_lin; Path=/jira"),
            "ROUTEID=.node1; Path=/".to_owned(),
        ] {
            reply.headers_mut().append("set-cookie", cookie.parse().unwrap());
        }
        reply
    }

    fn customer(&self, headers: &HeaderMap) -> Option<String> {
        assert!(headers.get("authorization").is_none(), "a customer's call carries no service credentials");
        self.sessions.get(&session_id(headers)?).cloned()
    }

    fn service(
        &mut self,
        method: &Method,
        path: &str,
        query: &HashMap<String, String>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Reply {
        assert!(headers.get("cookie").is_none(), "a stale cookie beside a token makes 401");
        let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let basic = authorization.as_deref().is_some_and(|value| value.starts_with("Basic "));
        if basic && self.switches.basic_off {
            return platform_error(403, "Basic Authentication has been disabled on this instance.");
        }
        let known = basic || authorization.as_deref() == Some(&format!("Bearer {TOKEN}"));
        if !known || self.switches.token_expired {
            return platform_error(401, "You are not authenticated.");
        }
        if method != Method::GET {
            assert_eq!(headers["x-atlassian-token"], "no-check");
        }
        let administrator = !self.switches.token_not_administrator;
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = query.get("username").cloned().unwrap_or_default();
        match (method.as_str(), path) {
            ("GET", "rest/api/2/myself") => json_reply(200, json!({ "name": "gateway" })),
            ("GET", "rest/api/2/mypermissions") => permissions(administrator),
            _ if !administrator => platform_error(403, "You are not permitted to do that."),
            ("GET", "rest/api/2/user") => {
                if let Some(left) = self.unseen.get_mut(&name).filter(|left| **left > 0) {
                    *left -= 1;
                    return platform_error(404, "The user named does not exist");
                }
                match self.people.get(&name) {
                    Some(person) => json_reply(200, user(&name, person, self.switches.emails_hidden)),
                    None => platform_error(404, "The user named does not exist"),
                }
            }
            ("GET", "rest/api/2/user/search") => {
                let start: usize = query["startAt"].parse().unwrap();
                let most = query["maxResults"].parse::<usize>().unwrap().min(self.switches.page_cap);
                let word = name.to_lowercase();
                let fits = |(name, person): &(&String, &Person)| {
                    let hidden = self.switches.emails_hidden;
                    name.to_lowercase().starts_with(&word) || !hidden && person.email.to_lowercase().starts_with(&word)
                };
                let found = self.people.iter().filter(fits).skip(start).take(most);
                let found = found.map(|(name, person)| user(name, person, self.switches.emails_hidden)).collect();
                json_reply(200, Value::Array(found))
            }
            ("POST", "rest/servicedeskapi/customer") => {
                assert_eq!(headers["x-experimentalapi"], "opt-in");
                let email = body["email"].as_str().unwrap().to_owned();
                assert!(!body["fullName"].as_str().unwrap().is_empty());
                if self.people.contains_key(&email) {
                    return desk_error(400, "An account already exists for this email");
                }
                self.unseen.insert(email.clone(), self.switches.appears_after);
                let person = Person { email: email.clone(), password: "unset".into(), ..Person::default() };
                self.people.insert(email.clone(), person);
                json_reply(201, json!({ "name": email, "key": email, "emailAddress": email, "active": true }))
            }
            ("POST", "rest/api/2/group") if self.switches.groups_closed => platform_error(400, "read-only"),
            ("POST", "rest/api/2/group") => {
                self.switches.group_unknown = false;
                json_reply(201, json!({ "name": body["name"] }))
            }
            ("POST", "rest/api/2/group/user") => {
                let group = query["groupname"].clone();
                if self.switches.group_unknown {
                    return platform_error(404, "no such group");
                }
                let person = self.people.get_mut(body["name"].as_str().unwrap()).unwrap();
                match person.groups.insert(group) {
                    true => json_reply(201, json!({})),
                    false => platform_error(400, "already a member"),
                }
            }
            ("PUT", "rest/api/2/user/password") => {
                let Some(person) = self.people.get_mut(&name) else { return platform_error(404, "no such user") };
                if person.read_only {
                    return platform_error(403, "The directory is not writable.");
                }
                let password = body["password"].as_str().unwrap();
                assert!(password.len() >= 40 && password.bytes().any(|b| b.is_ascii_digit()));
                if self.switches.lost_passwords > 0 {
                    self.switches.lost_passwords -= 1;
                } else {
                    person.password = password.to_owned();
                }
                json_reply(204, Value::Null)
            }
            (verb, path) => match path.strip_prefix("rest/servicedeskapi/servicedesk/") {
                Some(_) if self.switches.desk_unknown => desk_error(404, "no such service desk"),
                Some(rest) if verb == "GET" && rest.ends_with("/customer") => {
                    let members = self.desks.get(rest.strip_suffix("/customer").unwrap()).into_iter().flatten();
                    let values: Vec<Value> = members.map(|name| json!({ "name": name })).collect();
                    json_reply(200, json!({ "size": values.len(), "isLastPage": true, "values": values }))
                }
                Some(rest) if verb == "POST" => {
                    let desk = rest.strip_suffix("/customer").unwrap().to_owned();
                    let names = body["usernames"].as_array().unwrap();
                    let names = names.iter().map(|name| name.as_str().unwrap().to_owned());
                    self.desks.entry(desk).or_default().extend(names);
                    json_reply(204, Value::Null)
                }
                Some(id) => json_reply(200, json!({ "id": id })),
                None => page(StatusCode::NOT_FOUND.as_u16()),
            },
        }
    }
}

fn permissions(administrator: bool) -> Reply {
    let one = |key: &str, have: bool| json!({ "key": key, "havePermission": have });
    let permissions = json!({
        "ADMINISTER": one("ADMINISTER", administrator),
        "SYSTEM_ADMIN": one("SYSTEM_ADMIN", false),
        "BROWSE_PROJECTS": one("BROWSE_PROJECTS", true),
    });
    json_reply(200, json!({ "permissions": permissions }))
}

fn user(name: &str, person: &Person, email_hidden: bool) -> Value {
    let list = |names: Vec<&String>| {
        let items: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({ "size": items.len(), "items": items })
    };
    json!({
        "name": name,
        "key": name,
        "emailAddress": if email_hidden { "" } else { &person.email },
        "displayName": name,
        "active": !person.inactive,
        "groups": list(person.groups.iter().collect()),
        "applicationRoles": list(person.roles.iter().collect()),
    })
}

fn session_id(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get("cookie")?.to_str().unwrap();
    cookies.split("; ").find_map(|pair| pair.strip_prefix("JSESSIONID=")).map(str::to_owned)
}
