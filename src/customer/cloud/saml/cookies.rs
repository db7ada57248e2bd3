//! The cookies of one walk, each for the host that set it and for no other.

use http::HeaderValue;
use url::Url;

use crate::clock::Timestamp;
use crate::customer::jar::Jar;
use crate::http_client::Answer;

/// A jar for each host. `Domain` is not heeded: hosts of one site have nothing to tell each other on this way.
#[derive(Debug, Default)]
pub(super) struct Cookies {
    jars: Vec<(String, Jar)>,
}

impl Cookies {
    /// Takes over what the answer of `url` sets and forgets.
    pub fn take(&mut self, url: &Url, answer: &Answer, now: Timestamp) {
        let host = host(url);
        match self.jars.iter_mut().find(|(known, _)| *known == host) {
            Some((_, jar)) => jar.take(answer, now),
            None => {
                let mut jar = Jar::default();
                jar.take(answer, now);
                self.jars.push((host, jar));
            }
        }
    }

    /// The `Cookie` header for `url`.
    pub fn header(&self, url: &Url) -> Option<HeaderValue> {
        self.of(url).and_then(|jar| jar.header(url.path()))
    }

    /// The jar of that host.
    pub fn of(&self, url: &Url) -> Option<&Jar> {
        let host = host(url);
        self.jars.iter().find(|(known, _)| *known == host).map(|(_, jar)| jar)
    }

    /// The jar of that host, and none of the others.
    pub fn into_jar_of(self, url: &Url) -> Jar {
        let host = host(url);
        self.jars.into_iter().find(|(known, _)| *known == host).map(|(_, jar)| jar).unwrap_or_default()
    }
}

/// With the port: cookies would not tell ports apart, and here nothing is lost by doing so.
fn host(url: &Url) -> String {
    url.origin().ascii_serialization()
}
