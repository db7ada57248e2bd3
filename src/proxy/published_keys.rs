//! The keys by which an upstream verifies our tokens: public, and the same for everybody.

use http::header::{self, HeaderValue};
use http::{Method, StatusCode};

use super::Gateway;
use super::admit::Verdict;
use super::site::Site;
use crate::portal::CanonicalRequest;
use crate::refusal::{Reason, Refusal};
use crate::reply::Reply;
use crate::telemetry::Outcome;

/// Where the keys are.
pub const PATH: &str = "/.vestibule/jwks.json";
/// Where Cloudflare Access has them, and where its plugins look.
const CLOUDFLARE_PATH: &str = "/cdn-cgi/access/certs";
/// Where its plugins send people who sign out.
const CLOUDFLARE_SIGN_OUT: &str = "/cdn-cgi/access/logout";
/// A new key is published well before it signs: five minutes are soon enough.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

impl Gateway {
    /// The keys of a portal that signs tokens.
    pub(super) fn publish_keys(&self, site: &Site) -> Result<Verdict, Refusal> {
        let keys = site.customers.published_keys().ok_or(Reason::NoSuchEndpoint)?;
        let document: &[u8] = keys.published();
        let document = String::from_utf8_lossy(document);
        let reply = Reply::text(StatusCode::OK, document)
            .with_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .with_header(header::CACHE_CONTROL, KEPT);
        Ok(Verdict::Reply(Outcome::Answered, reply))
    }

    /// Answers at the addresses of Cloudflare Access, where the settings want that.
    pub(super) fn answer_for_cloudflare(
        &self,
        request: &CanonicalRequest,
        site: &Site,
    ) -> Result<Option<Verdict>, Refusal> {
        if !site.has_cloudflare_paths() || !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(None);
        }
        match request.path() {
            CLOUDFLARE_PATH => self.publish_keys(site).map(Some),
            // Only a question: see the page.
            CLOUDFLARE_SIGN_OUT => {
                Ok(Some(Verdict::Reply(Outcome::Answered, Reply::see_other("/.vestibule/sign-out"))))
            }
            _ => Ok(None),
        }
    }
}
