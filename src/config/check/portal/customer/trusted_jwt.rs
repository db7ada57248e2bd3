//! `trusted_jwt`: what signs, what is said, and where it goes.

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::config::check::{Check, minutes};
use crate::config::raw::{RawPortal, RawTrustedJwt, RawTrustingProduct};
use crate::config::tree::{Place, quote};
use crate::customer::trusted_jwt::TokenKeys;
use crate::portal::settings::{Product, TrustedJwtSettings};
use crate::secret::Secret;

/// What plugins for Cloudflare Access read.
const HEADER: HeaderName = HeaderName::from_static("cf-access-jwt-assertion");
/// Jira's own session.
const SESSION_COOKIES: [&str; 2] = ["JSESSIONID", "seraph.rememberme.cookie"];
/// Sessions of an upstream have few cookies.
const MOST_SESSION_COOKIES: usize = 8;
/// Fields that have a meaning of their own, by how they begin.
const TAKEN: [&str; 20] = [
    "accept-",
    "access-control-",
    "cache-",
    "content-",
    "http2-",
    "if-",
    "keep-",
    "last-",
    "max-",
    "proxy-",
    "sec-",
    "set-",
    "transfer-",
    "upgrade-",
    "user-",
    "x-atlassian-",
    "x-experimentalapi",
    "x-forwarded-",
    "x-request-",
    "x-requested-",
];

impl Check<'_> {
    pub(super) fn trusted_jwt(
        &mut self,
        portal: &Place<'_>,
        place: &Place<'_>,
        raw: &RawTrustedJwt,
        raw_portal: &RawPortal,
    ) -> Option<TrustedJwtSettings> {
        let product = match raw.product {
            None | Some(RawTrustingProduct::DataCenter) => Product::DataCenter,
            Some(RawTrustingProduct::Other) => Product::Other,
        };
        let directory_place = portal.key("directory");
        if product == Product::Other && raw_portal.directory.is_some() && !self.report.is_broken(&directory_place) {
            let what = "nothing uses it: only Jira Service Management has customers";
            self.fault(&directory_place, what, "remove it, or choose product: datacenter");
        }
        if is_cloud(&raw_portal.upstream.url) {
            let what = "Atlassian Cloud believes no token of ours";
            self.fault(place, what, "use redirect, or a site that verifies tokens");
        }
        let signing_keys = self.token_keys(&place.key("signing_keys"), raw);
        let audience = self.token(&place.key("audience"), &raw.audience, 255);
        let issuer = match &raw.issuer {
            Some(issuer) => self.token(&place.key("issuer"), issuer, 255).map(Some),
            None => Some(None),
        };
        let header = self.token_header(&place.key("header"), raw.header.as_deref());
        let session_cookies = self.session_cookies(&place.key("session_cookies"), raw, product);
        let cookie = match &raw.cookie {
            Some(cookie) => self.token_cookie(&place.key("cookie"), cookie, session_cookies.as_deref()).map(Some),
            None => Some(None),
        };
        let lifetime =
            self.duration(&place.key("lifetime"), raw.lifetime.as_ref(), minutes(5), minutes(1)..=minutes(60));
        let accounts = self.accounts(portal, place, raw_portal, product, raw.concurrency, raw.call_timeout.as_ref());
        Some(TrustedJwtSettings {
            signing_keys: signing_keys?,
            audience: audience?,
            issuer: issuer?,
            header: header?,
            cookie: cookie?,
            lifetime: lifetime?,
            session_cookies: session_cookies?,
            product,
            cloudflare_paths: raw.cloudflare_paths.unwrap_or(false),
            accounts: accounts?,
        })
    }

    fn token_keys(&mut self, place: &Place<'_>, raw: &RawTrustedJwt) -> Option<Vec<Secret>> {
        if raw.signing_keys.is_empty() {
            self.fault(place, "is empty: nothing could be signed", "name at least one key");
            return None;
        }
        let mut keys = Vec::new();
        for (index, key) in raw.signing_keys.iter().enumerate() {
            let place = place.index(index);
            let key = self.any_secret(&place, key);
            if let Some(key) = &key
                && let Err((_, refused)) = TokenKeys::from_pems(std::slice::from_ref(key))
            {
                let cure = "such as openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out jwt.key";
                self.fault(&place, refused.to_string(), cure);
                keys.push(None);
                continue;
            }
            keys.push(key);
        }
        let keys = super::super::all(keys)?;
        let ids: Vec<_> = TokenKeys::from_pems(&keys).ok()?.ids().iter().map(|id| Some(id.clone())).collect();
        self.distinct(place, &ids);
        Some(keys)
    }

    fn token_header(&mut self, place: &Place<'_>, given: Option<&str>) -> Option<HeaderName> {
        let Some(text) = given else { return Some(HEADER) };
        let name = HeaderName::try_from(text).ok().filter(|name| !name.as_str().contains('_'));
        let Some(name) = name else {
            let what = format!("{} is not the name of a header field", quote(text));
            self.fault(place, what, "letters, digits and \"-\"");
            return None;
        };
        let own = name.as_str().contains('-') && !TAKEN.iter().any(|taken| name.as_str().starts_with(taken));
        if name != AUTHORIZATION && !own {
            let what = format!("{} means something of its own", quote(text));
            self.fault(place, what, "such as Cf-Access-Jwt-Assertion, X-Portal-Token or Authorization");
            return None;
        }
        Some(name)
    }

    fn token_cookie(&mut self, place: &Place<'_>, name: &str, others: Option<&[String]>) -> Option<String> {
        let name = self.cookie_name(place, name)?;
        if others.is_some_and(|others| others.iter().any(|other| other.eq_ignore_ascii_case(&name))) {
            self.fault(place, "is one of session_cookies as well", "choose another name");
            return None;
        }
        Some(name)
    }

    fn session_cookies(&mut self, place: &Place<'_>, raw: &RawTrustedJwt, product: Product) -> Option<Vec<String>> {
        let Some(given) = &raw.session_cookies else {
            let jira = SESSION_COOKIES.iter().filter(|_| product == Product::DataCenter);
            return Some(jira.map(|name| (*name).to_owned()).collect());
        };
        if given.len() > MOST_SESSION_COOKIES {
            self.fault(place, format!("has {} names", given.len()), format!("at most {MOST_SESSION_COOKIES}"));
        }
        let names = given.iter().enumerate().map(|(index, name)| self.cookie_name(&place.index(index), name));
        let names: Vec<_> = names.collect();
        self.distinct(place, &names);
        super::super::all(names)
    }

    /// RFC 6265, section 4.1.1.
    fn cookie_name(&mut self, place: &Place<'_>, name: &str) -> Option<String> {
        let name = self.token(place, name, 128)?;
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        let lower = name.to_ascii_lowercase();
        if !plain || lower.starts_with("__host-vestibule") || lower == "atlassian.xsrf.token" {
            let what = format!("{} is no name for this cookie", quote(&name));
            self.fault(place, what, "letters, digits, \"-\", \"_\" and \".\", and no name that is used already");
            return None;
        }
        Some(name)
    }
}

/// Whether the address is that of a Cloud site, by its name alone.
pub(super) fn is_cloud(upstream: &str) -> bool {
    let host = url::Url::parse(upstream).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    host.ends_with(".atlassian.net")
}
