//! One call and its answer.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};

pub struct Exchange {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub sent: Bytes,
    pub status: StatusCode,
    pub answer_headers: HeaderMap,
    pub given: Bytes,
}

impl Exchange {
    /// The path on the site, without the way of the API host.
    pub fn path(&self) -> &str {
        let path = self.uri.path();
        let inside = path.strip_prefix("/ex/jira/").and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
        inside.unwrap_or(path)
    }

    /// Whether it is a call of the API that the documents describe as a whole.
    pub fn is_directory(&self) -> bool {
        self.path().starts_with("/rest/servicedeskapi/")
    }

    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        url::form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes())
    }

    pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn sent_as(&self) -> String {
        Self::header(&self.headers, header::CONTENT_TYPE.as_str()).to_ascii_lowercase()
    }

    pub fn given_as_json(&self) -> bool {
        Self::header(&self.answer_headers, header::CONTENT_TYPE.as_str()).starts_with("application/json")
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, given) = (String::from_utf8_lossy(&self.sent), String::from_utf8_lossy(&self.given));
        let cut = |text: &str| text.chars().take(600).collect::<String>();
        write!(f, "{} {} {} -> {} {}", self.method, self.uri, cut(&sent), self.status, cut(&given))
    }
}
