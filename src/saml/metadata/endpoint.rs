//! Addresses in metadata: what people are sent to, and nothing but safe ones.

use url::{Host, Url};

use super::refused::MetadataRefused;
use crate::saml::names::{HTTP_POST, HTTP_REDIRECT, MD, SOAP};
use crate::saml::xml::Node;

/// How an endpoint takes messages. Others than these are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names of the standard")]
pub enum Binding {
    Redirect,
    Post,
    Soap,
}

impl Binding {
    /// Its URI.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Redirect => HTTP_REDIRECT,
            Self::Post => HTTP_POST,
            Self::Soap => SOAP,
        }
    }

    fn parse(uri: &str) -> Option<Self> {
        [Self::Redirect, Self::Post, Self::Soap].into_iter().find(|binding| binding.uri() == uri)
    }
}

/// An address that takes messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How.
    pub binding: Binding,
    /// Where: the exact text, which is the Destination of what is sent there.
    pub location: String,
    /// Where answers go, when it is elsewhere.
    pub response_location: Option<String>,
}

impl Endpoint {
    /// Where an answer goes.
    pub fn for_responses(&self) -> &str {
        self.response_location.as_deref().unwrap_or(&self.location)
    }
}

/// One of several addresses of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedEndpoint {
    /// Its index.
    pub index: u16,
    /// Whether it is the default.
    pub is_default: bool,
    /// The address.
    pub endpoint: Endpoint,
}

/// An address that nobody is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum LocationRefused {
    #[error("its Location is missing")]
    Missing,
    #[error("its Location is not an absolute URL of plain characters, without a user, a password and a fragment")]
    NotAUrl,
    #[error("its Location is not https")]
    NotHttps,
}

/// Checks an address: `https`, or `http` on this very machine; visible ASCII only, so that a URL parser has nothing to
/// mend; no user, password or fragment.
///
/// # Errors
/// Says what is wrong with it.
pub fn vet_location(location: &str) -> Result<(), LocationRefused> {
    let plain = location.len() <= 2048 && location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let url = Url::parse(location).ok().filter(|_| plain).ok_or(LocationRefused::NotAUrl)?;
    let loopback = is_loopback(&url);
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        _ => return Err(LocationRefused::NotHttps),
    }
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if bare { Ok(()) } else { Err(LocationRefused::NotAUrl) }
}

/// Whether an address is one of this very machine.
pub fn points_to_this_machine(location: &str) -> bool {
    Url::parse(location).is_ok_and(|url| is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The endpoints `local` of a role, of the bindings that are spoken here.
pub(super) fn endpoints(role: Node<'_, '_>, local: &'static str) -> Result<Vec<Endpoint>, MetadataRefused> {
    role.all(MD, local).filter_map(|node| endpoint(node, local).transpose()).collect()
}

/// The endpoints `local` of a role that have an index.
pub(super) fn indexed_endpoints(
    role: Node<'_, '_>,
    local: &'static str,
) -> Result<Vec<IndexedEndpoint>, MetadataRefused> {
    let mut all: Vec<IndexedEndpoint> = Vec::new();
    for node in role.all(MD, local) {
        let Some(endpoint) = endpoint(node, local)? else { continue };
        let index = node.attribute("index").and_then(|index| index.parse().ok());
        let index = index.ok_or(MetadataRefused::Attribute("index"))?;
        let is_default = super::boolean(node, "isDefault")?;
        if all.iter().any(|known| known.index == index) {
            return Err(MetadataRefused::Attribute("index"));
        }
        all.push(IndexedEndpoint { index, is_default, endpoint });
    }
    Ok(all)
}

fn endpoint(node: Node<'_, '_>, local: &'static str) -> Result<Option<Endpoint>, MetadataRefused> {
    let Some(binding) = node.attribute("Binding").and_then(Binding::parse) else { return Ok(None) };
    let refused = |why| MetadataRefused::Location(local, why);
    let location = node.attribute("Location").ok_or(refused(LocationRefused::Missing))?;
    let response_location = node.attribute("ResponseLocation");
    for address in std::iter::once(location).chain(response_location) {
        vet_location(address).map_err(refused)?;
    }
    let response_location = response_location.map(str::to_owned);
    Ok(Some(Endpoint { binding, location: location.to_owned(), response_location }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a74_only_safe_addresses_are_taken() {
        for good in [
            "https://idp.example/sso",
            "https://idp.example:8443/sso?tenant=a&b=c",
            "http://127.0.0.1:8080/sso",
            "http://localhost/sso",
            "http://[::1]:80/sso",
        ] {
            assert_eq!(vet_location(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("http://idp.example/sso", LocationRefused::NotHttps),
            ("http://localhost.evil.example/", LocationRefused::NotHttps),
            ("http://127.0.0.1.evil.example/", LocationRefused::NotHttps),
            ("javascript:alert(1)", LocationRefused::NotHttps),
            ("data:text/html,x", LocationRefused::NotHttps),
            ("ftp://idp.example/", LocationRefused::NotHttps),
            ("/sso", LocationRefused::NotAUrl),
            ("", LocationRefused::NotAUrl),
            ("https://idp.example/a b", LocationRefused::NotAUrl),
            ("https://idp.example/\r\nSet-Cookie:x", LocationRefused::NotAUrl),
            (" https://idp.example/", LocationRefused::NotAUrl),
            ("java\nscript:alert(1)", LocationRefused::NotAUrl),
            ("https:\\\\idp.example/", LocationRefused::NotAUrl),
            ("https://user@idp.example/", LocationRefused::NotAUrl),
            ("https://idp.example/#x", LocationRefused::NotAUrl),
        ] {
            assert_eq!(vet_location(bad), Err(why), "{bad}");
        }
    }
}
