//! The site behind a portal, and the addresses at which it is reached.

use http::StatusCode;
use url::{Host, Url};

use crate::config::check::{Check, all, is_loopback, minutes, seconds};
use crate::config::raw::{RawBalance, RawConnections, RawHealthCheck, RawPortal, RawUpstream};
use crate::config::tree::{Place, quote};
use crate::listener::settings::ListenSettings;
use crate::portal::HostName;
use crate::portal::settings::{
    Balance, CertificateAuthorities, ConnectionSettings, HealthCheckSettings, NodeAddress, NodesSettings,
    UpstreamSettings,
};

/// More would be a cluster that nobody runs; each is looked at when one is chosen.
const MOST_ADDRESSES: usize = 32;
/// More than that is a request that goes round.
const MOST_RETRIES: u32 = 10;
/// More than that would be no limit.
const MOST_CONNECTIONS: u32 = 100_000;
/// Characters of a path or a text of a check.
const LONGEST: usize = 1024;

impl Check<'_> {
    pub(super) fn upstream(
        &mut self,
        place: &Place<'_>,
        portal: &RawPortal,
        hosts: &[Option<HostName>],
        listen: Option<&ListenSettings>,
    ) -> Option<UpstreamSettings> {
        let (raw, upstream) = (&portal.upstream, place.key("upstream"));
        let url_place = upstream.key_or_short("url");
        let url = self.site(&url_place, &raw.url);
        self.is_another(&url_place, url.as_ref(), hosts, listen);
        let nodes = self.nodes(&upstream, portal, url.as_ref());
        for (index, address) in nodes.iter().flat_map(|nodes| &nodes.addresses).enumerate() {
            let place = upstream.key("addresses").index(index);
            self.is_another(&place, Url::parse(&address.to_string()).ok().as_ref(), hosts, listen);
        }
        let speaks_tls = |nodes: &NodesSettings| nodes.addresses.iter().any(|address| address.tls);
        let plain = url.as_ref().is_some_and(|url| url.scheme() == "http") && !nodes.as_ref().is_some_and(speaks_tls);
        let ca = match &portal.upstream_ca {
            None => None,
            Some(text) => {
                let place = place.key("upstream_ca");
                if plain {
                    self.fault(&place, "has nothing to verify: the upstream is plain http", "remove it");
                }
                let path = self.path(&place, text)?;
                let bytes = self.read(&place, &path)?;
                let certificates = self.certificates(&place, &bytes)?;
                Some(CertificateAuthorities { path: text.clone(), certificates })
            }
        };
        Some(UpstreamSettings { url: url?, ca, nodes: nodes? })
    }

    fn is_another(
        &mut self,
        place: &Place<'_>,
        url: Option<&Url>,
        hosts: &[Option<HostName>],
        listen: Option<&ListenSettings>,
    ) {
        if let Some(portal) = url.and_then(|url| leads_back(url, hosts, listen)) {
            let what = format!("leads back to portals[{portal}] of this gateway: requests would go round in circles");
            self.fault(place, what, "write the address of the site itself");
        }
    }

    fn nodes(&mut self, place: &Place<'_>, portal: &RawPortal, url: Option<&Url>) -> Option<NodesSettings> {
        let (raw, default) = (&portal.upstream, NodesSettings::default());
        let addresses = self.addresses(&place.key("addresses"), portal, url);
        let balance = match raw.balance {
            Some(RawBalance::Person) => Balance::Person,
            Some(RawBalance::Spread) => Balance::Spread,
            Some(RawBalance::InOrder) => Balance::InOrder,
            None if raw.addresses.is_some() => Balance::Person,
            None => Balance::InOrder,
        };
        let session = &portal.customer_session;
        if balance != Balance::InOrder
            && raw.addresses.is_none()
            && (session.cloud_saml.is_some() || session.cloud_password.is_some())
        {
            let what = "is for nodes of Data Center: those of Cloud know the same sessions";
            self.fault(&place.key("balance"), what, "remove it");
        }
        let several = raw.addresses.is_some() || balance != Balance::InOrder;
        let named = url.is_none_or(|url| matches!(url.host(), Some(Host::Domain(_))));
        if several && !named {
            let what = "is an IP address, and several addresses need a name that each of them goes by";
            self.fault(&place.key_or_short("url"), what, "such as https://jira.acme.internal, or localhost");
        }
        let resolve_every = self.duration(
            &place.key("resolve_every"),
            raw.resolve_every.as_ref(),
            default.resolve_every,
            seconds(1)..=minutes(60),
        );
        let pause = self.duration(&place.key("pause"), raw.pause.as_ref(), default.pause, seconds(1)..=minutes(60));
        let retries = self.count(&place.key("retries"), raw.retries, 2, 0..=MOST_RETRIES);
        let out_after = self.count(&place.key("out_after"), raw.out_after, default.out_after, 1..=1000);
        let health_check = match &raw.health_check {
            Some(check) => self.health_check(&place.key("health_check"), check).map(Some),
            None => Some(None),
        };
        if raw.health_check.is_some() && raw.pause.is_some() {
            let what = "is for addresses that nobody checks: with health_check, they are back when it says so";
            self.fault(&place.key("pause"), what, "remove it, or health_check");
        }
        let connections = self.connections(&place.key("connections"), raw);
        Some(NodesSettings {
            addresses: addresses?,
            balance,
            resolve_every: resolve_every?,
            retries: usize::try_from(retries?).unwrap_or(usize::MAX),
            out_after: out_after?,
            pause: pause?,
            health_check: health_check?,
            connections: connections?,
        })
    }

    fn addresses(&mut self, place: &Place<'_>, portal: &RawPortal, url: Option<&Url>) -> Option<Vec<NodeAddress>> {
        let Some(given) = &portal.upstream.addresses else { return Some(Vec::new()) };
        let session = &portal.customer_session;
        if session.cloud_saml.is_some() || session.cloud_password.is_some() {
            let what = "is for nodes of Data Center: Cloud is reached by its name alone";
            self.fault(place, what, "remove it");
        }
        match given.len() {
            0 => self.fault(place, "is empty", "name at least one address, or remove the key"),
            many if many > MOST_ADDRESSES => {
                self.fault(place, format!("lists {many} addresses"), format!("at most {MOST_ADDRESSES}"));
            }
            _ => {}
        }
        let each = given.iter().enumerate().map(|(index, text)| self.node_address(&place.index(index), text, url));
        let addresses: Vec<Option<NodeAddress>> = each.collect();
        let places: Vec<Option<(String, u16)>> =
            addresses.iter().map(|address| address.as_ref().map(|one| (one.host.clone(), one.port))).collect();
        self.distinct(place, &places);
        all(addresses)
    }

    /// `host:port`, by the scheme of the site; or with a scheme of its own.
    fn node_address(&mut self, place: &Place<'_>, text: &str, url: Option<&Url>) -> Option<NodeAddress> {
        let scheme = url.map_or("https", Url::scheme);
        let whole = if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
        let bare = |url: &Url| {
            matches!(url.scheme(), "https" | "http")
                && url.path() == "/"
                && !whole.ends_with('/')
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        };
        let odd = text.chars().any(|c| c.is_whitespace() || c == '\\');
        let parsed = Url::parse(&whole).ok().filter(|url| !odd && url.has_host() && bare(url));
        let Some(parsed) = parsed else {
            let what = format!("{} is not an address", quote(text));
            self.fault(place, what, "such as 10.0.0.11:8443 or https://node1.acme.internal:8443");
            return None;
        };
        if parsed.scheme() == "http" && !is_loopback(&parsed) {
            self.fault(place, "plain http is for this machine only: localhost, 127.0.0.1 or [::1]", "use https");
            return None;
        }
        let default = parsed.port_or_known_default().filter(|_| parsed.port().is_none());
        // The parser drops a port that is the scheme's own.
        let unsaid = default.is_some_and(|port| !text.contains("://") && !text.ends_with(&format!(":{port}")));
        if unsaid {
            self.fault(place, format!("{} has no port", quote(text)), format!("such as {text}:8443"));
            return None;
        }
        NodeAddress::of(&parsed)
    }

    fn health_check(&mut self, place: &Place<'_>, raw: &RawHealthCheck) -> Option<HealthCheckSettings> {
        let path_place = place.key("path");
        let path = self.token(&path_place, &raw.path, LONGEST).filter(|path| {
            let sound = path.starts_with('/') && !path.contains('#');
            if !sound {
                self.fault(&path_place, format!("{} is not a path", quote(path)), "such as /status");
            }
            sound
        });
        let status_place = place.key("status");
        let given = raw.status.clone().unwrap_or_else(|| vec![200]);
        if given.is_empty() {
            self.fault(&status_place, "is empty: no check would pass", "name at least one status");
        }
        let status = given.iter().enumerate().map(|(index, code)| {
            let status = StatusCode::from_u16(*code).ok().filter(|status| (200..600).contains(&status.as_u16()));
            if status.is_none() {
                self.fault(&status_place.index(index), format!("{code} is no status"), "from 200 to 599");
            }
            status
        });
        let status: Vec<Option<StatusCode>> = status.collect();
        let text = match &raw.text {
            Some(text) => self.text(&place.key("text"), text, LONGEST).map(Some),
            None => Some(None),
        };
        let hundred = std::time::Duration::from_millis(100);
        let every = self.duration(&place.key("every"), raw.every.as_ref(), seconds(5), hundred..=minutes(10));
        let timeout = self.duration(&place.key("timeout"), raw.timeout.as_ref(), seconds(3), hundred..=minutes(1));
        let back_after = self.count(&place.key("back_after"), raw.back_after, 2, 1..=1000);
        Some(HealthCheckSettings {
            path: path?,
            status: all(status)?,
            text: text?,
            every: every?,
            timeout: timeout?,
            back_after: back_after?,
        })
    }

    fn connections(&mut self, place: &Place<'_>, raw: &RawUpstream) -> Option<ConnectionSettings> {
        let default = NodesSettings::default().connections;
        let nothing = RawConnections::default();
        let raw = raw.connections.as_ref().unwrap_or(&nothing);
        let per_address = match raw.per_address {
            Some(given) => {
                let place = place.key("per_address");
                self.count(&place, Some(given), given, 1..=MOST_CONNECTIONS).map(|most| usize::try_from(most).ok())
            }
            None => Some(None),
        };
        let wait = self.duration(&place.key("wait"), raw.wait.as_ref(), default.wait, seconds(0)..=minutes(1));
        Some(ConnectionSettings { per_address: per_address?, wait: wait? })
    }
}

/// The portal that an upstream URL leads back to. On this machine many sites share one name, so there the port decides.
fn leads_back(url: &Url, hosts: &[Option<HostName>], listen: Option<&ListenSettings>) -> Option<usize> {
    let upstream = HostName::parse(url.host_str()?).ok()?;
    let portal = hosts.iter().position(|host| host.as_ref() == Some(&upstream))?;
    let port = url.port_or_known_default();
    let ours = listen.is_some_and(|listen| {
        let sockets = [Some(listen.https), listen.http, listen.admin];
        sockets.into_iter().flatten().any(|socket| Some(socket.port()) == port)
    });
    (ours || !is_loopback(url)).then_some(portal)
}
