//! An upstream of several addresses: some die and come back, break off, hang, are full, or are not there any more.

mod customers;
mod failures;
mod limits;
mod names;

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use vestibule::demo::server::Server;

use crate::harness::{Options, TestGateway, eventually};

/// A site that is reached at these addresses, with more of its mapping from a comma on.
fn upstream(addresses: &[SocketAddr], more: &str) -> String {
    let port = addresses[0].port();
    let listed: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    format!("{{ url: \"http://localhost:{port}\", addresses: [{}]{more} }}", listed.join(", "))
}

fn options(addresses: &[SocketAddr], more: &str) -> Options {
    Options { upstream: upstream(addresses, more), ..Options::plain(addresses[0]) }
}

/// A server that says its number to every request; to `/status`, that it runs.
async fn numbered(number: usize, at: SocketAddr) -> Server {
    let router = Router::new()
        .route("/status", get(|| async { "{\"state\":\"RUNNING\"}" }))
        .fallback(move || async move { number.to_string() });
    starts(router, at).await
}

/// Serves at `at`, once whoever was there before has let go of it.
async fn starts(router: Router, at: SocketAddr) -> Server {
    for _ in 0..3000 {
        match Server::start(router.clone(), at, None, None).await {
            Ok(server) => return server,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{at} is taken")
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl TestGateway {
    async fn get(&self, client: &reqwest::Client, path: &str) -> (u16, String) {
        let answer = client.get(format!("{}{path}", self.origin())).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits until the metrics have that line.
    async fn tells(&self, line: &str) {
        eventually(line, || self.metrics().lines().any(|one| one == line)).await;
    }

    async fn is_up(&self, address: SocketAddr, up: bool) {
        let up = u8::from(up);
        self.tells(&format!("vestibule_upstream_up{{address=\"{address}\",portal=\"localhost\"}} {up}")).await;
    }

    async fn in_use(&self, address: SocketAddr, count: usize) {
        self.tells(&format!("vestibule_upstream_in_use{{address=\"{address}\",portal=\"localhost\"}} {count}")).await;
    }

    /// The value of the first series whose line begins so; 0 when there is none.
    fn counted(&self, start: &str) -> u64 {
        let metrics = self.metrics();
        let line = metrics.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0, |value| value.parse().unwrap())
    }

    /// What the admin listener says.
    async fn admin(&self, path: &str) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{}{path}", self.app.admin_address().unwrap());
        let answer = client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}
