//! Sockets.

use std::net::{Ipv4Addr, SocketAddr};

use ipnet::{IpNet, Ipv6Net};

use super::{Check, all, minutes, seconds};
use crate::config::raw::{RawEdgeLimits, RawListen};
use crate::config::tree::{Place, quote};
use crate::listener::settings::{EdgeLimits, ListenSettings};

impl Check<'_> {
    pub(super) fn listen(&mut self, place: &Place<'_>, raw: &RawListen) -> Option<ListenSettings> {
        let https = self.address(&place.key("https"), &raw.https);
        let mut optional = |key: &str, text: Option<&String>| {
            text.map_or(Some(None), |text| self.address(&place.key(key), text).map(Some))
        };
        let (http, admin) = (optional("http", raw.http.as_ref()), optional("admin", raw.admin.as_ref()));
        let behind_tls_proxy = optional("behind_tls_proxy", raw.behind_tls_proxy.as_ref());
        let addresses = [
            ("https", https),
            ("http", http.flatten()),
            ("admin", admin.flatten()),
            ("behind_tls_proxy", behind_tls_proxy.flatten()),
        ];
        for (index, (key, address)) in addresses.iter().enumerate() {
            let earlier = addresses.iter().take(index).find(|(_, other)| collide(*address, *other));
            if let Some((other, _)) = earlier {
                let what = format!("is the address of listen.{other} too");
                self.fault(&place.key(key), what, "take another port");
            }
        }
        let networks = place.key("trusted_proxies");
        let raw_networks = raw.trusted_proxies.as_deref().unwrap_or_default();
        let proxies: Vec<_> =
            raw_networks.iter().enumerate().map(|(index, text)| self.network(&networks.index(index), text)).collect();
        self.distinct(&networks, &proxies);
        if raw.behind_tls_proxy.is_some() && raw_networks.is_empty() {
            let what = "serves the peers in listen.trusted_proxies, and there are none";
            self.fault(&place.key("behind_tls_proxy"), what, "list the networks of your load balancers there");
        }
        if raw.proxy_protocol == Some(true) && raw_networks.is_empty() {
            let what = "is spoken by the peers in listen.trusted_proxies, and there are none";
            self.fault(&place.key("proxy_protocol"), what, "list the networks of your load balancers there");
        }
        let limits = self.edge_limits(&place.key("limits"), raw.limits.as_ref());
        Some(ListenSettings {
            https: https?,
            http: http?,
            admin: admin?,
            behind_tls_proxy: behind_tls_proxy?,
            trusted_proxies: all(proxies)?,
            proxy_protocol: raw.proxy_protocol.unwrap_or(false),
            public_port: raw.public_port,
            limits: limits?,
        })
    }

    fn address(&mut self, place: &Place<'_>, text: &str) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            let what = format!("{} is not an address with a port", quote(text));
            self.fault(place, what, "such as \"[::]:443\", \"0.0.0.0:443\" or \"127.0.0.1:9090\"");
        }
        address
    }

    fn network(&mut self, place: &Place<'_>, text: &str) -> Option<IpNet> {
        let Ok(network) = text.parse::<IpNet>() else {
            let cure = match text.parse::<std::net::IpAddr>() {
                Ok(address) => format!("for one machine, write \"{}\"", IpNet::from(address)),
                Err(_) => "such as \"10.0.0.0/8\" or \"fd00::/8\"".to_owned(),
            };
            self.fault(place, format!("{} is not a network", quote(text)), cure);
            return None;
        };
        let everyone = match network {
            IpNet::V4(network) => network.prefix_len() == 0,
            // ::ffff:0:0/96 is every IPv4 address once more.
            IpNet::V6(network) => {
                let mapped = Ipv6Net::new(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96);
                mapped.is_ok_and(|mapped| network.contains(&mapped))
            }
        };
        if everyone {
            let what = format!("{network} is everybody: any visitor could name any address as their own");
            self.fault(place, what, "list the networks of your load balancers");
            return None;
        }
        if network != network.trunc() {
            let cure = format!("write \"{}\"", network.trunc());
            self.fault(place, format!("{network} has bits set behind its prefix"), cure);
            return None;
        }
        Some(network)
    }

    fn edge_limits(&mut self, place: &Place<'_>, raw: Option<&RawEdgeLimits>) -> Option<EdgeLimits> {
        let nothing = RawEdgeLimits::default();
        let raw = raw.unwrap_or(&nothing);
        let default = EdgeLimits::default();
        let least = default.header_count.min(16);
        let bytes = u64::try_from(default.header_bytes).unwrap_or(u64::MAX);
        let header_bytes =
            self.size(&place.key("header_bytes"), raw.header_bytes.as_ref(), bytes, 4 * 1024..=256 * 1024);
        let given = raw.header_count.and_then(|count| usize::try_from(count).ok());
        // Pingora reads at most 256 header fields.
        let header_count = self.count(&place.key("header_count"), given, default.header_count, least..=256);
        let header_time = self.duration(
            &place.key("header_time"),
            raw.header_time.as_ref(),
            default.header_time,
            seconds(1)..=minutes(2),
        );
        let idle_time =
            self.duration(&place.key("idle_time"), raw.idle_time.as_ref(), default.idle_time, seconds(1)..=minutes(60));
        let given = raw.connections.and_then(|count| usize::try_from(count).ok());
        let connections = self.count(&place.key("connections"), given, default.connections, 1..=1_000_000);
        let drain = self.duration(&place.key("drain"), raw.drain.as_ref(), default.drain, seconds(0)..=minutes(60));
        Some(EdgeLimits {
            header_bytes: usize::try_from(header_bytes?).ok()?,
            header_count: header_count?,
            header_time: header_time?,
            idle_time: idle_time?,
            connections: connections?,
            drain: drain?,
        })
    }
}

/// Whether two sockets cannot both be open. Port 0 takes any free one.
fn collide(one: Option<SocketAddr>, other: Option<SocketAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let same_host = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && same_host
}
