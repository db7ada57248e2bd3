//! Calls to the authority, by the one client that all calls out are made with.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient as AcmeHttp};
use url::Url;

use super::settings::AcmeSettings;
use crate::clock::{Clock, Timestamp};
use crate::http_client::{Call, HttpClient, HttpClientSettings, NoHttpClient, Roots};

/// For one call. Authorities think for a while before they answer some.
const TIME: Duration = Duration::from_secs(30);
/// The most of an answer, in bytes. Chains are a few kilobytes.
const SIZE: usize = 256 * 1024;

/// Makes the library's calls, and notes what it does not hand on. Clones share what is noted.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    http: HttpClient,
    clock: Clock,
    asked: Arc<Mutex<Option<Duration>>>,
}

impl Directory {
    pub fn new(settings: &AcmeSettings, clock: Clock) -> Result<Self, NoHttpClient> {
        let roots = match settings.authorities.as_slice() {
            [] => Roots::System,
            given => Roots::Only(given.to_vec()),
        };
        let http = HttpClient::new(HttpClientSettings { roots, ..HttpClientSettings::default() })?;
        Ok(Self { http, clock, asked: Arc::default() })
    }

    /// A client for one order, which notes for itself.
    pub fn of_one_order(&self) -> Self {
        Self { asked: Arc::default(), ..self.clone() }
    }

    /// What the latest answer said in `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (mut parts, body) = request.into_parts();
        let other = |error: Box<dyn std::error::Error + Send + Sync>| Error::Other(error);
        let Ok(body) = body.collect().await;
        let url = Url::parse(&parts.uri.to_string()).map_err(|error| other(Box::new(error)))?;
        parts.headers.remove(USER_AGENT); // our own is sent
        let mut call = Call::new(parts.method, url).within(TIME, SIZE);
        (call.headers, call.body) = (parts.headers, body.to_bytes());
        let answer = self.http.send(call).await.map_err(|failed| other(Box::new(failed)))?;
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = retry_after(&answer.headers, self.clock.now());
        let mut response = http::Response::new(());
        (*response.status_mut(), *response.headers_mut()) = (answer.status, answer.headers);
        Ok(BytesResponse { parts: response.into_parts().0, body: Box::new(answer.body) })
    }
}

impl AcmeHttp for Directory {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().call(request))
    }
}

/// `Retry-After`: seconds, or a moment (RFC 9110, section 10.2.3). At most a week is believed.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let moment = chrono::DateTime::parse_from_rfc2822(text).ok()?;
            Timestamp::from_seconds(moment.timestamp()).since(now)
        }
    };
    Some(asked.min(Duration::from_secs(7 * 24 * 3600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_moment() {
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, Timestamp::from_seconds(946_684_700)).map(|asked| asked.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sat, 01 Jan 2000 00:00:00 GMT"), Some(100));
        assert_eq!(read("Fri, 31 Dec 1999 00:00:00 GMT"), Some(0), "it is over");
        assert_eq!(read("99999999999"), Some(7 * 24 * 3600));
        assert_eq!(read("soon"), None);
    }
}
