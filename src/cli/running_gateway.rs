//! Orders to the gateway that runs, over its admin listener, proved by the configured keys.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::Method;
use url::Url;

use crate::clock::Clock;
use crate::config::Config;
use crate::http_client::{Answer, Call, HttpClient, HttpClientSettings, Roots};
use crate::operator::OperatorKeys;

/// The most time that an order may take in the running gateway.
const LONGEST: Duration = Duration::from_secs(3600);
/// The most bytes of its report.
const LARGEST_REPORT: usize = 256 * 1024 * 1024;

/// Why an order could not be given to the running gateway.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOrdered {
    #[error("a running gateway is reached by listen.admin, which is not set: set it, or stop the gateway first")]
    NoListener,
    #[error(
        "the admin listener {0} is not on this machine's loopback: run the command with a configuration whose \
         listen.admin is, or stop the gateway first"
    )]
    NotLoopback(SocketAddr),
    #[error("the running gateway at {0} does not answer: {1}")]
    NoAnswer(SocketAddr, String),
    #[error("the running gateway at {0} refuses the order: does it run with the same keys?")]
    Refused(SocketAddr),
}

/// Orders `target`, with what `brought` makes of the keys, and gives the answer.
pub(super) async fn order(
    config: &Config,
    target: &str,
    brought: impl FnOnce(&OperatorKeys) -> Option<Option<Vec<u8>>>,
) -> Result<Answer, NotOrdered> {
    let address = reachable(config.listen.admin.ok_or(NotOrdered::NoListener)?);
    if !address.ip().is_loopback() {
        return Err(NotOrdered::NotLoopback(address));
    }
    let no_answer = |why: &dyn ToString| NotOrdered::NoAnswer(address, why.to_string());
    let url: Url = format!("http://{address}{target}").parse().map_err(|_| no_answer(&"no address"))?;
    let keys = OperatorKeys::new(&config.session.keys);
    let proof = keys.authorization(target, Clock::System.now());
    let settings = HttpClientSettings { roots: Roots::Only(Vec::new()), ..HttpClientSettings::default() };
    let client = HttpClient::new(settings).map_err(|error| no_answer(&error))?;
    let mut call = Call::new(Method::POST, url).authorized(&proof.unwrap_or_default()).within(LONGEST, LARGEST_REPORT);
    if let Some(body) = brought(&keys).ok_or_else(|| no_answer(&"what goes along could not be sealed"))? {
        call = call.with_body("application/octet-stream", body);
    }
    let answer = client.send(call).await.map_err(|error| no_answer(&error))?;
    match answer.status {
        http::StatusCode::FORBIDDEN => Err(NotOrdered::Refused(address)),
        http::StatusCode::OK => Ok(answer),
        other => Err(no_answer(&format!("status {}", other.as_u16()))),
    }
}

/// Where a listener on every address is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
