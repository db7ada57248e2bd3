//! Where metadata is: a file or a URL, looked at without reading what has not changed.

use std::fmt;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ETAG, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use url::Url;

use super::{MetadataFault, MetadataFrom};
use crate::http_client::{Call, HttpClient};
use crate::saml::metadata::points_to_this_machine;
use crate::saml::xml::XmlLimits;

/// From the start of a call to its last byte. The largest federations are slow to send.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Some servers choose by it between a page and the metadata.
const ACCEPTED: &str = "application/samlmetadata+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.1";

/// A place to look at.
#[derive(Debug)]
pub(super) enum Origin {
    File(PathBuf),
    Url { url: Url, http: HttpClient },
}

/// What tells a document from an older one without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    File { modified: Option<SystemTime>, octets: u64, inode: u64 },
    Url { etag: Option<HeaderValue>, last_modified: Option<HeaderValue> },
}

/// What a look found.
#[derive(Debug)]
pub(super) enum Found {
    Unchanged,
    Document { octets: Bytes, version: Option<Version> },
}

impl Origin {
    pub(super) fn new(from: MetadataFrom, http: HttpClient) -> Self {
        match from {
            MetadataFrom::File(path) => Self::File(path),
            MetadataFrom::Url(url) => Self::Url { url, http },
        }
    }

    /// Whether it is another machine.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Url { url, .. } if !points_to_this_machine(url.as_str()))
    }

    /// Looks. What is still of the version `seen` is not read.
    pub(super) async fn look(&self, seen: Option<&Version>) -> Result<Found, MetadataFault> {
        match self {
            Self::File(path) => {
                let (path, seen) = (path.clone(), seen.cloned());
                let read = tokio::task::spawn_blocking(move || read_file(&path, seen.as_ref()));
                let read = read.await.map_err(io::Error::other).flatten();
                read.map_err(|error| MetadataFault::File(error.to_string()))
            }
            Self::Url { url, http } => fetch(url, http, seen).await,
        }
    }
}

/// For logs: no query, which may hold a secret.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url { url, .. } => write!(f, "{}{}", url.origin().ascii_serialization(), url.path()),
        }
    }
}

fn read_file(path: &Path, seen: Option<&Version>) -> io::Result<Found> {
    let mut file = std::fs::File::open(path)?;
    let about = file.metadata()?;
    let version = Version::File { modified: about.modified().ok(), octets: about.len(), inode: about.ino() };
    if seen == Some(&version) {
        return Ok(Found::Unchanged);
    }
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let largest = u64::try_from(XmlLimits::METADATA.octets).unwrap_or(u64::MAX);
    let mut octets = Vec::new();
    // One more than is read: the parser refuses it by name.
    file.by_ref().take(largest.saturating_add(1)).read_to_end(&mut octets)?;
    Ok(Found::Document { octets: octets.into(), version: Some(version) })
}

async fn fetch(url: &Url, http: &HttpClient, seen: Option<&Version>) -> Result<Found, MetadataFault> {
    let mut call = Call::get(url.clone()).accepting(ACCEPTED).within(TIME_LIMIT, XmlLimits::METADATA.octets);
    if let Some(Version::Url { etag, last_modified }) = seen {
        // RFC 9110 section 13.1: both may be sent; a server that knows the first ignores the second.
        for (name, value) in [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, last_modified)] {
            if let Some(value) = value {
                call = call.with_header(name, value.clone());
            }
        }
    }
    let mut answer = http.send(call).await.map_err(|failed| MetadataFault::from_call(&failed))?;
    match answer.status.as_u16() {
        200 => {
            let (etag, last_modified) = (answer.headers.remove(ETAG), answer.headers.remove(LAST_MODIFIED));
            let told = etag.is_some() || last_modified.is_some();
            Ok(Found::Document { octets: answer.body, version: told.then_some(Version::Url { etag, last_modified }) })
        }
        304 if seen.is_some() => Ok(Found::Unchanged),
        304 => Err(MetadataFault::Misbehaved("the server answered \"not modified\" without being asked")),
        status @ (429 | 500..=599) => {
            Err(MetadataFault::Unreachable(format!("the server answered with status {status}")))
        }
        status @ 300..=399 => Err(MetadataFault::Redirected(status)),
        status => Err(MetadataFault::Status(status)),
    }
}
