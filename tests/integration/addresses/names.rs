//! Names that lead elsewhere, and configurations that change.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use vestibule::config;
use vestibule::nodes::{NameTable, Resolver};
use vestibule::operator::Reloaded;

use super::{any_port, numbered, options, upstream};
use crate::harness::{Options, TestGateway, eventually};

fn lead(table: &NameTable, addresses: &[SocketAddr]) {
    let found: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
    table.store(Arc::new(HashMap::from([("localhost".to_owned(), found)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_followed_and_what_it_left_is_used_no_more() {
    // Two addresses of this machine, with one port.
    let first = numbered(1, any_port()).await;
    let port = first.addr().port();
    let second = numbered(2, SocketAddr::from(([127, 0, 0, 2], port))).await;
    let table = Arc::<NameTable>::default();
    lead(&table, &[first.addr()]);
    for more in ["balance: person", "balance: in_order", "balance: spread"] {
        lead(&table, &[first.addr()]);
        let gateway = TestGateway::start(Options {
            upstream: format!("{{ url: \"http://localhost:{port}\", resolve_every: 1s, {more} }}"),
            resolver: Resolver::Table(Arc::clone(&table)),
            ..Options::plain(first.addr())
        })
        .await;
        let client = gateway.client();
        gateway.sign_in(&client, "ana").await;
        assert_eq!(gateway.get(&client, "/private/x").await.1, "1");
        gateway.is_up(first.addr(), true).await;
        lead(&table, &[second.addr()]);
        gateway.is_up(second.addr(), true).await;
        let old = first.addr().to_string();
        eventually("the old address is told no more", || {
            !gateway.metrics().lines().any(|line| line.starts_with("vestibule_upstream_up{") && line.contains(&old))
        })
        .await;
        for _ in 0..5 {
            assert_eq!(
                gateway.get(&client, "/private/x").await.1,
                "2",
                "{more}: also by the connections that are kept"
            );
        }
        // A name that leads nowhere changes nothing.
        table.store(Arc::default());
        eventually("it was looked up", || {
            gateway.counted("vestibule_upstream_look_ups_total{portal=\"localhost\",result=\"failed\"") > 0
        })
        .await;
        assert_eq!(gateway.get(&client, "/private/x").await.1, "2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_of_one_site_are_tried_as_long_as_nothing_was_sent() {
    let server = numbered(1, any_port()).await;
    let port = server.addr().port();
    let table = Arc::<NameTable>::default();
    let dead = (2..8).map(|last| SocketAddr::from(([127, 0, 0, last], port)));
    lead(&table, &dead.chain([server.addr()]).collect::<Vec<_>>());
    let gateway = TestGateway::start(Options {
        upstream: format!("http://localhost:{port}"),
        resolver: Resolver::Table(Arc::clone(&table)),
        ..Options::plain(server.addr())
    })
    .await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let post = client.post(format!("{}/private/x", gateway.origin())).header("origin", gateway.origin());
    assert_eq!(post.body("once").send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_never_led_anywhere_is_told_and_found_later() {
    let server = numbered(1, any_port()).await;
    let table = Arc::<NameTable>::default();
    let gateway = TestGateway::start(Options {
        upstream: format!("http://localhost:{}", server.addr().port()),
        resolver: Resolver::Table(Arc::clone(&table)),
        ..Options::plain(server.addr())
    })
    .await;
    assert_eq!(gateway.get(&gateway.client(), "/public/x").await.0, 502);
    lead(&table, &[server.addr()]);
    assert_eq!(gateway.get(&gateway.client(), "/public/x").await, (200, "1".to_owned()));
}

impl TestGateway {
    /// Puts the configuration in force that `change` makes of the file.
    async fn puts_in_force(&self, change: impl FnOnce(String) -> String) {
        let file = self.folder.path().join("gateway.yaml");
        let after = change(std::fs::read_to_string(&file).unwrap());
        let parsed = config::parse(&after, self.folder.path(), &config::ProcessEnvironment);
        let outcome = self.app.apply(parsed.unwrap_or_else(|faults| panic!("{faults}"))).await;
        assert!(matches!(outcome, Reloaded::Applied { .. }), "{outcome:?}");
        std::fs::write(&file, &after).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_what_is_known_of_addresses_that_it_does_not_change() {
    let (first, second, third) =
        (numbered(1, any_port()).await, numbered(2, any_port()).await, numbered(3, any_port()).await);
    let (dead, alive, new) = (first.addr(), second.addr(), third.addr());
    drop(first);
    // Looked at again in an hour: what is known stays known.
    let more = ", balance: in_order, pause: 1h, out_after: 2";
    let gateway = TestGateway::start(options(&[dead, alive], more)).await;
    let client = gateway.client();
    for _ in 0..2 {
        assert_eq!(gateway.get(&client, "/public/x").await.1, "2");
    }
    gateway.is_up(dead, false).await;
    let failures = format!("vestibule_upstream_failures_total{{address=\"{dead}\"");
    assert_eq!(gateway.counted(&failures), 2);
    gateway.puts_in_force(|text| format!("{text}    look: {{ name: Changed }}\n")).await;
    assert_eq!(gateway.get(&client, "/public/x").await.1, "2");
    assert_eq!(gateway.counted(&failures), 2, "nobody has tried it");
    gateway.is_up(dead, false).await;
    // Another upstream starts clean: all of it is tried.
    let changed = upstream(&[dead, new], more);
    let before = upstream(&[dead, alive], more);
    gateway.puts_in_force(|text| text.replace(&before, &changed)).await;
    gateway.is_up(dead, true).await;
    let left = alive.to_string();
    assert!(!gateway.metrics().lines().any(|line| line.starts_with("vestibule_upstream_up") && line.contains(&left)));
    assert_eq!(gateway.get(&client, "/public/x").await.1, "3");
    assert_eq!(gateway.counted(&failures), 3);
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_checks_addresses_that_a_reload_has_taken_away() {
    let checked = |path: &str| format!(", health_check: {{ path: {path}, every: 100ms }}");
    let (first, second) = (numbered(1, any_port()).await, numbered(2, any_port()).await);
    let (old, new) = (first.addr(), second.addr());
    let gateway = TestGateway::start(options(&[old], &checked("/status"))).await;
    let checks = |of: SocketAddr| {
        format!("vestibule_upstream_checks_total{{address=\"{of}\",portal=\"localhost\",result=\"passed\"")
    };
    eventually("checks", || gateway.counted(&checks(old)) > 2).await;
    let (before, after) = (upstream(&[old], &checked("/status")), upstream(&[new], &checked("/status")));
    gateway.puts_in_force(|text| text.replace(&before, &after)).await;
    // The last check of the old one may have been under way.
    let seen = gateway.counted(&checks(old));
    eventually("checks of the new one", || gateway.counted(&checks(new)) > 5).await;
    assert!(gateway.counted(&checks(old)) <= seen + 1);
}
