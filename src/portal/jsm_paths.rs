//! What stands at which path of Jira Service Management, Data Center and Cloud: pages that are ours to answer, places that
//! are closed unless a rule names them, and calls that make a request.
//!
//! Jira answers to several spellings of one path: behind `/s/ANYTHING/_/` stands the whole site again, and behind
//! `/servicedesk/customershim/` too. Each path is judged by all that it may mean, and without regard to case, so that no
//! spelling opens what another one closes.

use std::sync::LazyLock;

use http::Method;
use memchr::memmem;

use super::PathPattern;

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsmPath {
    /// Nothing special: the rules decide.
    Ordinary,
    /// The platform, administration, or a list of people: closed unless a rule names it.
    Closed,
    /// A page that has no meaning behind the gateway.
    Page(NativePage),
}

/// Pages of JSM's own that have no meaning behind the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativePage {
    /// JSM's sign-in: the visitor is signed in by us.
    SignIn,
    /// JSM's sign-out: ours ends both sessions.
    SignOut,
    /// Sign-up and everything about passwords: there are none.
    Account,
}

/// A path, read in all the ways in which JSM may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it is.
    pub what: JsmPath,
    /// Other paths that it may mean besides, with the context path.
    pub others: Vec<String>,
}

/// The paths of one site.
#[derive(Clone, Debug)]
pub struct JsmPaths {
    /// The context path; empty for none.
    context: String,
    lower_context: String,
}

/// Readings of one path that are looked at; nobody honest needs as many.
const MOST_READINGS: usize = 16;

const SIGN_IN: [&str; 3] = ["/servicedesk/customer/user/login", "/login.jsp", "/login"];

const SIGN_OUT: [&str; 6] = [
    "/servicedesk/customer/user/logout",
    "/servicedesk/customer/logout",
    "/logout",
    "/logout.jsp",
    "/secure/logout.jspa",
    "/secure/logout!default.jspa",
];

const ACCOUNT: [&str; 14] = [
    "/servicedesk/customer/user/signup/**",
    "/servicedesk/customer/user/forgotpassword/**",
    "/servicedesk/customer/user/resetpassword/**",
    "/servicedesk/customer/user/changepassword/**",
    "/servicedesk/customer/user/setpassword/**",
    "/secure/signup.jspa",
    "/secure/signup!default.jspa",
    "/secure/forgotlogindetails.jspa",
    "/secure/forgotlogindetails!default.jspa",
    "/secure/forgotpassword!default.jspa",
    "/secure/resetpassword.jspa",
    "/secure/resetpassword!default.jspa",
    "/secure/changepassword.jspa",
    "/secure/changepassword!default.jspa",
];

/// Besides all REST APIs but those that `REST_OF_THE_PORTAL` names.
const CLOSED: [&str; 30] = [
    // What the portal's REST API tells of people, and what is for agents.
    "/rest/servicedesk/customer-management/**",
    "/rest/servicedesk/*/pages/**",
    "/rest/servicedesk/*/customer/pages/user/**",
    "/rest/servicedesk/*/servicedesk/**",
    "/rest/servicedeskapi/customer/**",
    "/rest/servicedeskapi/servicedesk/*/customer/**",
    "/rest/servicedeskapi/organization/*/user/**",
    "/rest/servicedeskapi/organization/*/property/**",
    // Cloud's own login, and its other services but those that `GATEWAY_OF_THE_PORTAL` names.
    "/jsd-login/**",
    "/jsd-login-v2/**",
    "/gateway/**",
    // Jira's own pages, WebSudo among them, but the pictures and files of `FILES_OF_THE_PORTAL`.
    "/secure/**",
    "/plugins/**",
    "/admin/**",
    "/jira/settings/**",
    "/jira/people/**",
    "/people/**",
    "/activity/**",
    "/charts/**",
    "/issues/**",
    "/monitoring/**",
    "/rpc/**",
    "/sr/**",
    "/si/**",
    "/servicedesk/admin/**",
    "/servicedesk/agent/**",
    "/wiki/rest/**",
    "/wiki/admin/**",
    "/wiki/people/**",
    "/websudo/**",
];

const REST_OF_THE_PORTAL: [&str; 6] = [
    "/rest/servicedeskapi/**",
    "/rest/servicedesk/**",
    "/rest/webresources/**",
    "/rest/wrm/**",
    "/rest/analytics/**",
    "/rest/proforma/**",
];

/// What may stand behind `/s/ANYTHING/_/` and `/servicedesk/customershim/`.
const RESOURCES: [&str; 8] = [
    "/download/**",
    "/images/**",
    "/includes/**",
    "/styles/**",
    "/fonts/**",
    "/secure/attachment/**",
    "/secure/thumbnail/**",
    "/secure/useravatar",
];

const GATEWAY_OF_THE_PORTAL: [&str; 2] = ["/gateway/api/graphql/**", "/gateway/api/proforma/portal/**"];

const FILES_OF_THE_PORTAL: [&str; 6] = [
    "/secure/attachment/**",
    "/secure/thumbnail/**",
    "/secure/viewavatar",
    "/secure/useravatar",
    "/secure/projectavatar",
    "/secure/universal_avatar/**",
];

/// Segments that, in any REST API, mean a search for people.
const SEARCHES_FOR_PEOPLE: [&str; 8] = [
    "user-search",
    "usersearch",
    "user-picker",
    "userpicker",
    "mention",
    "mentions",
    "mentionable",
    "multi-user-picker",
];

const CREATES: [&str; 4] = [
    "/servicedesk/customer/portal/*/create/**",
    "/rest/servicedeskapi/request",
    "/rest/servicedesk/*/customer/portal/*/request/**",
    "/rest/servicedesk/*/customer/portal/*/create/**",
];

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    sign_in: read(&SIGN_IN),
    sign_out: read(&SIGN_OUT),
    account: read(&ACCOUNT),
    closed: read(&CLOSED),
    rest: read(&REST_OF_THE_PORTAL),
    gateway: read(&GATEWAY_OF_THE_PORTAL),
    files: read(&FILES_OF_THE_PORTAL),
    resources: read(&RESOURCES),
    creates: read(&CREATES),
});

struct Patterns {
    sign_in: ByFirst,
    sign_out: ByFirst,
    account: ByFirst,
    closed: ByFirst,
    rest: ByFirst,
    gateway: ByFirst,
    files: ByFirst,
    resources: ByFirst,
    creates: ByFirst,
}

/// Patterns by their first segment, which is literal in all of them: of most lists, a path has to be compared with none.
struct ByFirst(Vec<(String, Vec<PathPattern>)>);

/// A test reads each of them.
fn read(patterns: &[&str]) -> ByFirst {
    let mut by_first: Vec<(String, Vec<PathPattern>)> = Vec::new();
    for (text, pattern) in patterns.iter().filter_map(|text| Some((text, PathPattern::parse(text).ok()?))) {
        let first = first_segment(text);
        match by_first.iter_mut().find(|(known, _)| known == first) {
            Some((_, known)) => known.push(pattern),
            None => by_first.push((first.to_owned(), vec![pattern])),
        }
    }
    ByFirst(by_first)
}

fn first_segment(path: &str) -> &str {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let end = memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

fn any(patterns: &ByFirst, path: &str) -> bool {
    let first = first_segment(path);
    let of_first = patterns.0.iter().find(|(known, _)| known == first);
    of_first.is_some_and(|(_, patterns)| patterns.iter().any(|pattern| pattern.matches(path)))
}

impl JsmPaths {
    /// The paths of a site with that context path, which is `/` or empty for none.
    pub fn new(context: &str) -> Self {
        let context = context.trim_end_matches('/').to_owned();
        Self { lower_context: context.to_ascii_lowercase(), context }
    }

    /// Reads the decoded `path`.
    pub fn read(&self, path: &str) -> Reading {
        let lower = path.to_ascii_lowercase();
        let closed = Reading { what: JsmPath::Closed, others: Vec::new() };
        // Whoever decodes twice sees the path end at an escaped "?" or "#".
        let cut = path.split(['?', '#']).next().unwrap_or_default();
        if cut.len() < path.len() && self.read(cut).what != JsmPath::Ordinary {
            return closed;
        }
        let Some(readings) = self.readings(&lower) else { return closed };
        let Some((first, hidden)) = readings.split_first() else { return closed };
        if let Some(page) = page(first).filter(|_| hidden.is_empty()) {
            return Reading { what: JsmPath::Page(page), others: Vec::new() };
        }
        // What hides behind another path is a resource or nothing: else every rule could be gone around.
        let harmless = |path: &&str| any(&PATTERNS.resources, path) && !is_closed(path);
        if is_closed(first) || !hidden.iter().all(harmless) {
            return closed;
        }
        // All are ends of the path, and lower case changes no length.
        let end = |hidden: &&str| path.get(path.len().saturating_sub(hidden.len())..);
        let others = hidden.iter().filter_map(end).map(|end| format!("{}{end}", self.context)).collect();
        Reading { what: JsmPath::Ordinary, others }
    }

    /// Whether a rule for these paths speaks of a closed place, or a page of JSM's own, by its name. `/**` and `/rest/**`
    /// do not: they are meant for all the rest.
    pub fn is_named_by(&self, pattern: &PathPattern) -> bool {
        let text = pattern.to_string();
        let named = text.strip_suffix("**").unwrap_or(&text).trim_end_matches('/');
        let inner = self.inner(named).unwrap_or(named);
        let segments = inner.split('/').filter(|segment| !segment.is_empty()).count();
        let enough = if inner.starts_with("/gateway") { 3 } else { 2 };
        (segments >= enough || !text.ends_with("**")) && self.read(named).what != JsmPath::Ordinary
    }

    /// Whether this call makes a request, when the site takes it.
    pub fn creates_request(&self, method: &Method, path: &str) -> bool {
        if *method != Method::POST && *method != Method::PUT {
            return false;
        }
        let path = path.to_ascii_lowercase();
        self.readings(&path).is_none_or(|readings| readings.iter().any(|path| any(&PATTERNS.creates, path)))
    }

    /// What stands behind the context path.
    fn inner<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.context.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Everything that a path in lower case may mean to Jira; `None` when that does not end.
    fn readings<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let inner = path.strip_prefix(self.lower_context.as_str());
        let inner = inner.filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let mut readings = vec![inner.unwrap_or(path)];
        let mut next = 0;
        while let Some(path) = readings.get(next).copied() {
            next = next.saturating_add(1);
            let shim = path.strip_prefix("/servicedesk/customershim").filter(|rest| rest.starts_with('/'));
            let cached =
                path.starts_with("/s/").then(|| path.match_indices("/_/").map(|(at, _)| at)).into_iter().flatten();
            let behind = cached.filter_map(|at| path.get(at.saturating_add(2)..));
            for reading in shim.into_iter().chain(behind) {
                if !readings.contains(&reading) {
                    readings.push(reading);
                }
                if readings.len() > MOST_READINGS {
                    return None;
                }
            }
        }
        Some(readings)
    }
}

fn page(path: &str) -> Option<NativePage> {
    let patterns = &*PATTERNS;
    if any(&patterns.sign_in, path) {
        Some(NativePage::SignIn)
    } else if any(&patterns.sign_out, path) {
        Some(NativePage::SignOut)
    } else if any(&patterns.account, path) {
        Some(NativePage::Account)
    } else {
        None
    }
}

fn is_closed(path: &str) -> bool {
    let patterns = &*PATTERNS;
    // Jira runs an action by its name alone, wherever it seems to stand.
    let runs = |segment: &str| segment.ends_with(".jspa") || segment.ends_with(".jsp");
    let special = |segment: &str| runs(segment) || matches!(segment, "web-inf" | "meta-inf");
    // Most paths have nothing of the kind in them: they are not taken apart.
    let may_be = memmem::find(path.as_bytes(), b".jsp").is_some() || memmem::find(path.as_bytes(), b"-inf").is_some();
    if may_be && path.split('/').any(special) {
        return true;
    }
    let rest = first_segment(path) == "rest";
    if (rest || path.starts_with("/gateway/")) && path.split('/').any(|part| SEARCHES_FOR_PEOPLE.contains(&part)) {
        return true;
    }
    (rest && !any(&patterns.rest, path))
        || any(&patterns.closed, path) && !any(&patterns.gateway, path) && !any(&patterns.files, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(paths: &JsmPaths, path: &str) -> JsmPath {
        paths.read(path).what
    }

    #[test]
    fn every_pattern_can_be_read_and_is_in_lower_case() {
        for patterns in [
            &SIGN_IN[..],
            &SIGN_OUT,
            &ACCOUNT,
            &CLOSED,
            &REST_OF_THE_PORTAL,
            &GATEWAY_OF_THE_PORTAL,
            &FILES_OF_THE_PORTAL,
            &RESOURCES,
            &CREATES,
        ] {
            assert_eq!(read(patterns).0.iter().map(|(_, of_first)| of_first.len()).sum::<usize>(), patterns.len());
            assert!(patterns.iter().all(|pattern| !first_segment(pattern).contains('*')), "{patterns:?}");
            assert!(patterns.iter().all(|pattern| *pattern == pattern.to_ascii_lowercase()), "{patterns:?}");
        }
    }

    #[test]
    fn what_customers_need_is_open() {
        for context in ["", "/", "/jira"] {
            let paths = JsmPaths::new(context);
            for path in [
                "/",
                "/servicedesk/customer/portals",
                "/servicedesk/customer/portal/7/create/12",
                "/servicedesk/customer/portal/7/HELP-1",
                "/servicedesk/customer/user/requests",
                "/servicedesk/customer/user/profile",
                "/servicedesk/customer/kb/view/1",
                "/servicedesk/customershim/secure/attachment/10001/report.pdf",
                "/rest/servicedeskapi/request",
                "/rest/servicedeskapi/request/HELP-1/comment",
                "/rest/servicedeskapi/organization",
                "/rest/servicedeskapi/servicedesk/1/attachTemporaryFile",
                "/rest/servicedesk/1/customer/models",
                "/rest/servicedesk/1/customer/viewport-resources/portal-logo/1",
                "/rest/servicedesk/cmdb/1/customer/portal/1/autocomplete",
                "/gateway/api/graphql",
                "/gateway/api/proforma/portal/cloudid/abc/form/1",
                "/secure/attachment/10001/report.pdf",
                "/secure/attachment/10001/Really? #2.pdf",
                "/secure/thumbnail/10001/_thumb_10001.png",
                "/secure/useravatar",
                "/s/d41d8cd9-CDN/abc/820000/1/_/download/batch/x:y/x:y.css",
                "/s/portal/1/portal.css",
                "/download/resources/x/y.png",
                "/browse/HELP-1",
            ] {
                let path = format!("{}{path}", context.trim_end_matches('/'));
                assert_eq!(what(&paths, &path), JsmPath::Ordinary, "{path}");
            }
        }
    }

    #[test]
    fn the_platform_administration_and_lists_of_people_are_closed() {
        for context in ["", "/jira"] {
            let paths = JsmPaths::new(context);
            for path in [
                "/rest/api/2/user/search",
                "/rest/api/3/users",
                "/rest/api/latest/groups/picker",
                "/rest/api",
                "/rest",
                "/rest/auth/1/session",
                "/rest/auth/1/websudo",
                "/rest/tsv/1.0/authenticate",
                "/rest/pat/latest/tokens",
                "/rest/plugins/1.0/",
                "/rest/some-plugin/latest/people",
                "/rest/servicedesk/1/customer/portal/7/user-search",
                "/rest/servicedesk/1/customer/portal/7/user-search/proforma",
                "/rest/servicedesk/1/customer/pages/user/signup",
                "/rest/servicedesk/1/pages/people/customers/pagination/10/invite",
                "/rest/servicedesk/customer-management/noeyeball/1/local-servicedesk-user",
                "/rest/servicedeskapi/customer",
                "/rest/servicedeskapi/servicedesk/1/customer",
                "/rest/servicedeskapi/organization/4/user",
                "/gateway/api/users/manage/profile",
                "/gateway/api/adminhub/customer-directory/directory/x",
                "/gateway/api/proforma/portal/user-search",
                "/jsd-login/v1/authentication/authenticate",
                "/jsd-login-v2/v2/customer/login/authenticate",
                "/secure/admin/WebSudoAuthenticate.jspa",
                "/secure/Dashboard.jspa",
                "/secure",
                "/secure/ViewUserHover.jspa",
                "/QueryComponent!Default.jspa",
                "/browse/x/ViewProfile.jspa/",
                "/plugins/servlet/oauth/users/icon-uri",
                "/plugins/servlet/upm",
                "/admin",
                "/jira/settings/products",
                "/people/search",
                "/servicedesk/agent/HELP",
            ] {
                let path = format!("{context}{path}");
                assert_eq!(what(&paths, &path), JsmPath::Closed, "{path}");
                for other in [path.to_uppercase(), format!("{path}/"), path.replace("rest", "Rest")] {
                    assert_eq!(what(&paths, &other), JsmPath::Closed, "{other}");
                }
            }
        }
    }

    #[test]
    fn no_other_spelling_opens_what_is_closed() {
        let paths = JsmPaths::new("/jira");
        for path in [
            "/jira/s/x/_/rest/api/2/user/search",
            "/jira/s/x/1/_/s/y/_/rest/api/2/user/search",
            "/jira/S/x/_/REST/api/2/myself",
            "/jira/s/x/_/y/_/secure/admin/x",
            "/jira/s/x/_/WEB-INF/web.xml",
            "/jira/s/x/_/META-INF/maven/x",
            "/jira/servicedesk/customershim/rest/api/2/user/search",
            "/jira/servicedesk/customershim/secure/ViewUserHover.jspa",
            "/jira/servicedesk/customershim/s/x/_/rest/api/2/user",
            "/jira/s/x/_/servicedesk/customershim/plugins/servlet/upm",
            "/jira/s/x/_/login",
            "/jira/s/x/_/login.jsp",
            "/jira/s/x/_/servicedesk/customer/user/signup",
            "/jira/s/x/_/servicedesk/customer/portal/7",
            "/jira/servicedesk/customershim/servicedesk/customer/portal/7",
            "/jira/s/x/_/download/_/rest/api/2/user",
            "/jira/rest?/servicedesk",
            "/jira/secure/Dashboard.jspa#/servicedesk",
            "/JIRA/rest/api/2/user",
            // Beside the context path: another site, or a proxy that leaves it out.
            "/rest/api/2/user",
        ] {
            assert_eq!(what(&paths, path), JsmPath::Closed, "{path}");
        }
        let endless = format!("/jira/s{}", "/_/a".repeat(900));
        assert_eq!(what(&paths, &endless), JsmPath::Closed);
        assert_eq!(what(&paths, "/jirax"), JsmPath::Ordinary);
    }

    #[test]
    fn jsms_own_account_pages_are_known() {
        use NativePage::{Account, SignIn, SignOut};
        for context in ["", "/jira"] {
            let paths = JsmPaths::new(context);
            for (path, page) in [
                ("/servicedesk/customer/user/login", SignIn),
                ("/servicedesk/customer/user/login/", SignIn),
                ("/login.jsp", SignIn),
                ("/login", SignIn),
                ("/servicedesk/customer/user/logout", SignOut),
                ("/servicedesk/customer/logout", SignOut),
                ("/logout", SignOut),
                ("/secure/Logout!default.jspa", SignOut),
                ("/secure/Logout.jspa", SignOut),
                ("/servicedesk/customer/user/signup", Account),
                ("/servicedesk/customer/user/signup/confirm", Account),
                ("/servicedesk/customer/user/forgotpassword", Account),
                ("/servicedesk/customer/user/resetpassword", Account),
                ("/secure/ForgotLoginDetails.jspa", Account),
                ("/secure/Signup!default.jspa", Account),
            ] {
                let path = format!("{context}{path}");
                assert_eq!(what(&paths, &path), JsmPath::Page(page), "{path}");
            }
        }
    }

    #[test]
    fn calls_that_make_requests_are_known() {
        for context in ["", "/jira"] {
            let paths = JsmPaths::new(context);
            for (method, path, expected) in [
                (Method::POST, "/servicedesk/customer/portal/7/create/12", true),
                (Method::POST, "/servicedesk/customer/portal/7/create/12/", true),
                (Method::POST, "/ServiceDesk/customer/portal/7/Create/12", true),
                (Method::POST, "/rest/servicedeskapi/request", true),
                (Method::POST, "/rest/servicedesk/1/customer/portal/7/request/12", true),
                (Method::POST, "/rest/servicedesk/1/customer/portal/7/create/12", true),
                (Method::POST, "/s/x/_/rest/servicedeskapi/request", true),
                (Method::POST, "/servicedesk/customershim/rest/servicedeskapi/request", true),
                (Method::GET, "/servicedesk/customer/portal/7/create/12", false),
                (Method::POST, "/rest/servicedeskapi/request/HELP-1/comment", false),
                (Method::POST, "/servicedesk/customer/portal/7/HELP-1/comment", false),
                (Method::POST, "/rest/servicedesk/1/customer/models", false),
            ] {
                let path = format!("{context}{path}");
                assert_eq!(paths.creates_request(&method, &path), expected, "{method} {path}");
            }
        }
    }

    #[test]
    fn other_readings_are_told_for_the_rules() {
        let paths = JsmPaths::new("/jira");
        let reading = paths.read("/jira/servicedesk/customershim/secure/attachment/7/Report.pdf");
        assert_eq!(reading.what, JsmPath::Ordinary);
        assert_eq!(reading.others, ["/jira/secure/attachment/7/Report.pdf"]);
        assert!(paths.read("/jira/servicedesk/customer/portals").others.is_empty());
    }

    #[test]
    fn only_a_narrow_rule_names_what_is_closed() {
        let paths = JsmPaths::new("/jira");
        for (pattern, expected) in [
            ("/**", false),
            ("/jira/**", false),
            ("/jira/rest/**", false),
            ("/jira/secure/**", false),
            ("/jira/gateway/api/**", false),
            ("/jira/rest/servicedeskapi/**", false),
            ("/jira/rest/api/**", true),
            ("/jira/rest/api/2/serverInfo", true),
            ("/jira/gateway/api/users/**", true),
            ("/jira/secure/ViewProfile.jspa", true),
            ("/jira/rest/servicedesk/1/customer/portal/*/user-search", true),
            ("/jira/servicedesk/customer/user/signup", true),
            ("/jira/login", true),
        ] {
            assert_eq!(paths.is_named_by(&PathPattern::parse(pattern).unwrap()), expected, "{pattern}");
        }
    }
}
