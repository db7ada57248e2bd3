//! Who comes first for whom, when a node is out, and where names lead.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::ids::Affinity;
use crate::portal::settings::{Balance, ConnectionSettings, HealthCheckSettings};

/// Nodes at ports of this machine, in that order.
fn settings(ports: &[u16], balance: Balance) -> NodesSettings {
    let address = |port: &u16| NodeAddress { host: "127.0.0.1".into(), port: *port, tls: false };
    NodesSettings { addresses: ports.iter().map(address).collect(), balance, ..NodesSettings::default() }
}

fn nodes(settings: NodesSettings) -> Arc<Nodes> {
    nodes_with(settings, Resolver::System)
}

fn nodes_with(settings: NodesSettings, resolver: Resolver) -> Arc<Nodes> {
    let url = "http://localhost:8080/jira".parse().unwrap();
    let upstream = UpstreamSettings { nodes: settings, ..UpstreamSettings::at(url) };
    let parts = NodesParts { resolver, ..NodesParts::unwatched() };
    Arc::new(Nodes::new(&upstream, &PortalLimits::default(), parts, None))
}

fn person(number: usize) -> Choice {
    Choice::Person { affinity: Affinity::of(&["https://okta.example", &format!("person-{number}")]), at: None }
}

fn port(nodes: &Nodes, choice: Choice) -> u16 {
    nodes.pick(choice, &[]).unwrap().address().port()
}

fn at(nodes: &Nodes, port: u16) -> Arc<Node> {
    nodes.find(local(port)).unwrap()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn put_out(node: &Node) {
    for _ in 0..3 {
        node.failed(Failure::Connect);
    }
    assert!(!node.is_up());
}

#[test]
fn each_person_has_a_node_and_only_those_of_a_node_that_leaves_move() {
    let nodes = nodes(settings(&[1, 2, 3], Balance::Person));
    let before: Vec<u16> = (0..3000).map(|number| port(&nodes, person(number))).collect();
    for home in [1, 2, 3] {
        let share = before.iter().filter(|port| **port == home).count();
        assert!((900..1100).contains(&share), "{home}: {share}");
    }
    put_out(&at(&nodes, 2));
    let after: Vec<u16> = (0..3000).map(|number| port(&nodes, person(number))).collect();
    assert!(before.iter().zip(&after).all(|(old, new)| old == new || *old == 2), "nobody else moves");
    let moved: Vec<u16> = before.iter().zip(&after).filter(|(old, _)| **old == 2).map(|(_, new)| *new).collect();
    assert!(moved.contains(&1) && moved.contains(&3) && !moved.contains(&2), "its people are spread over the others");
    at(&nodes, 2).answered();
    let back: Vec<u16> = (0..3000).map(|number| port(&nodes, person(number))).collect();
    assert_eq!(back, before);
    // The order of the list means nothing.
    let turned = self::nodes(settings(&[3, 1, 2], Balance::Person));
    assert!((0..3000).all(|number| port(&turned, person(number)) == before[number]));
}

#[test]
fn the_numbers_of_people_stay_in_every_version() {
    // Gateways of several versions send people to the same node.
    let nodes = nodes(settings(&[1, 2, 3, 4, 5], Balance::Person));
    let ports: Vec<u16> = (0..12).map(|number| port(&nodes, person(number))).collect();
    assert_eq!(ports, PORTS_OF_TWELVE);
}

/// Written down once.
const PORTS_OF_TWELVE: [u16; 12] = [1, 4, 3, 5, 4, 2, 2, 1, 2, 1, 4, 4];

#[test]
fn a_customer_session_stays_where_it_was_opened_while_its_node_is_used() {
    let nodes = nodes(settings(&[1, 2, 3], Balance::Person));
    let Choice::Person { affinity, .. } = person(7) else { unreachable!() };
    let home = port(&nodes, person(7));
    let other = [1, 2, 3].into_iter().find(|port| *port != home).unwrap();
    let held = Choice::Person { affinity, at: Some(local(other)) };
    assert_eq!(port(&nodes, held), other);
    assert!(nodes.goes_to(local(other)));
    put_out(&at(&nodes, other));
    assert_eq!(port(&nodes, held), home);
    assert!(!nodes.goes_to(local(other)), "another is up");
    assert!(!nodes.goes_to(local(9)), "it is none of them");
    assert_ne!(nodes.pick(person(7), &[local(home)]).unwrap().address(), local(home), "what failed is not tried again");
}

#[test]
fn when_all_are_out_they_are_tried_in_their_order() {
    let nodes = nodes(settings(&[1, 2, 3], Balance::Person));
    let before: Vec<u16> = (0..100).map(|number| port(&nodes, person(number))).collect();
    for port in [1, 2, 3] {
        put_out(&at(&nodes, port));
    }
    let after: Vec<u16> = (0..100).map(|number| port(&nodes, person(number))).collect();
    assert_eq!(before, after);
    assert!(nodes.goes_to(local(1)), "nothing better is left");
    assert!(nodes.pick(person(0), &[local(1), local(2), local(3)]).is_none());
    assert!(nodes.has_others(&[local(1)]) && !nodes.has_others(&[local(1), local(2), local(3)]));
}

#[test]
fn what_is_nobodys_is_spread() {
    let nodes = nodes(settings(&[1, 2, 3], Balance::Person));
    let mut ports: Vec<u16> = (0..6).map(|_| port(&nodes, Choice::Anybody)).collect();
    ports.sort_unstable();
    assert_eq!(ports, [1, 1, 2, 2, 3, 3]);
    put_out(&at(&nodes, 2));
    assert!((0..30).all(|_| port(&nodes, Choice::Anybody) != 2));
}

#[test]
fn in_order_all_go_to_the_first_that_is_left() {
    let nodes = nodes(settings(&[1, 2, 3], Balance::InOrder));
    let all = |wanted: u16| {
        (0..20).all(|number| port(&nodes, person(number)) == wanted) && port(&nodes, Choice::Anybody) == wanted
    };
    assert!(all(1));
    put_out(&at(&nodes, 1));
    assert!(all(2));
    at(&nodes, 1).answered();
    assert!(all(1));
    // Nobody is thrown out of a session for that.
    let Choice::Person { affinity, .. } = person(7) else { unreachable!() };
    assert!(nodes.goes_to(local(2)));
    assert_eq!(port(&nodes, Choice::Person { affinity, at: Some(local(2)) }), 2);
}

#[test]
fn an_answer_between_failures_keeps_a_node_in() {
    let nodes = nodes(settings(&[1, 2], Balance::Person));
    let node = at(&nodes, 1);
    for _ in 0..10 {
        node.failed(Failure::Timeout);
        node.failed(Failure::Broken);
        node.answered();
    }
    assert!(node.is_up());
    put_out(&node);
    node.answered();
    assert!(node.is_up(), "nobody checks it: an answer is proof enough");
}

#[test]
fn checks_alone_bring_back_what_is_checked() {
    let check = HealthCheckSettings {
        path: "/status".into(),
        status: vec![http::StatusCode::OK],
        text: None,
        every: Duration::from_secs(5),
        timeout: Duration::from_secs(3),
        back_after: 2,
    };
    let settings = NodesSettings { health_check: Some(check), ..settings(&[1, 2], Balance::Person) };
    let nodes = nodes(settings);
    let node = at(&nodes, 1);
    let failed = || node.checked(Err("it answers 503".into()));
    failed();
    failed();
    node.checked(Ok(()));
    failed();
    failed();
    assert!(node.is_up(), "three in a row");
    failed();
    assert!(!node.is_up());
    node.answered();
    node.checked(Ok(()));
    failed();
    node.checked(Ok(()));
    assert!(!node.is_up(), "two in a row");
    node.checked(Ok(()));
    assert!(node.is_up());
    // Of traffic only connections count: what is asked for can make an answer late, or break it off.
    for _ in 0..10 {
        node.failed(Failure::Timeout);
        node.failed(Failure::Broken);
    }
    assert!(node.is_up());
    put_out(&node);
}

#[tokio::test]
async fn a_place_is_waited_for_and_given_back() {
    let connections = ConnectionSettings { per_address: Some(1), wait: Duration::from_secs(60) };
    let nodes = nodes(NodesSettings { connections, ..settings(&[1, 2], Balance::Person) });
    let (first, second) = (nodes.take(person(0), &[]).await.unwrap(), nodes.take(Choice::Anybody, &[]).await.unwrap());
    assert_ne!(first.node().address(), second.node().address(), "what is nobody's goes where there is room");
    let address = first.node().address();
    let waiting = tokio::spawn({
        let nodes = Arc::clone(&nodes);
        async move { nodes.take(person(0), &[]).await.map(|at| at.node().address()) }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(first);
    assert_eq!(waiting.await.unwrap(), Ok(address));
    assert_eq!(nodes.find(address).unwrap().in_use(), 0);
}

#[tokio::test]
async fn who_waits_at_a_node_that_goes_out_goes_on_to_the_next() {
    let connections = ConnectionSettings { per_address: Some(1), wait: Duration::from_secs(60) };
    let nodes = nodes(NodesSettings { connections, ..settings(&[1, 2], Balance::Person) });
    let first = nodes.take(person(0), &[]).await.unwrap();
    let address = first.node().address();
    let waiting = tokio::spawn({
        let nodes = Arc::clone(&nodes);
        async move { nodes.take(person(0), &[]).await.map(|at| at.node().address()) }
    });
    tokio::task::yield_now().await;
    put_out(first.node());
    assert_ne!(waiting.await.unwrap().unwrap(), address);
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let connections = ConnectionSettings { per_address: Some(1), wait: Duration::ZERO };
    let nodes = nodes(NodesSettings { connections, ..settings(&[1], Balance::Person) });
    let held = nodes.take(person(0), &[]).await.unwrap();
    assert_eq!(nodes.take(person(0), &[]).await.err(), Some(NoTurn::Full));
    assert_eq!(nodes.take(person(0), &[local(1)]).await.err(), Some(NoTurn::NoneLeft));
    drop(held);
    assert!(nodes.take(person(0), &[]).await.is_ok());
}

fn named(table: &Arc<NameTable>, names: &[(&str, u16)], tls: bool) -> Arc<Nodes> {
    let address = |(host, port): &(&str, u16)| NodeAddress { host: (*host).to_owned(), port: *port, tls };
    let addresses = names.iter().map(address).collect();
    let settings = NodesSettings { addresses, balance: Balance::InOrder, ..NodesSettings::default() };
    nodes_with(settings, Resolver::Table(Arc::clone(table)))
}

fn lead(table: &NameTable, names: &[(&str, &[[u8; 4]])]) {
    let numbers = |found: &&[[u8; 4]]| found.iter().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets))).collect();
    let names: HashMap<String, Vec<IpAddr>> =
        names.iter().map(|(name, found)| ((*name).to_owned(), numbers(found))).collect();
    table.store(Arc::new(names));
}

fn found(nodes: &Nodes) -> Vec<String> {
    nodes.standing().into_iter().map(|node| node.address.to_string()).collect()
}

#[tokio::test]
async fn names_are_followed_and_what_is_known_of_their_addresses_is_kept() {
    let table = Arc::<NameTable>::default();
    let nodes = named(&table, &[("jira", 8080), ("standby", 8080)], true);
    assert_eq!(nodes.make_ready().await, Err(NoAddress));
    lead(&table, &[("jira", &[[10, 0, 0, 1], [10, 0, 0, 2]]), ("standby", &[[10, 0, 9, 1]])]);
    nodes.make_ready().await.unwrap();
    assert_eq!(found(&nodes), ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.9.1:8080"]);
    let second = nodes.find(([10, 0, 0, 2], 8080).into()).unwrap();
    put_out(&second);
    // In another order, with one gone and one new.
    lead(&table, &[("jira", &[[10, 0, 0, 3], [10, 0, 0, 2]]), ("standby", &[[10, 0, 9, 1]])]);
    nodes.look_up().await.unwrap();
    assert_eq!(found(&nodes), ["10.0.0.2:8080", "10.0.0.3:8080", "10.0.9.1:8080"]);
    assert!(Arc::ptr_eq(&second, &nodes.find(second.address()).unwrap()));
    assert!(!nodes.goes_to(([10, 0, 0, 1], 8080).into()));
    // What cannot be looked up stays; the other name is followed.
    lead(&table, &[("standby", &[[10, 0, 9, 2]])]);
    nodes.look_up().await.unwrap();
    assert_eq!(found(&nodes), ["10.0.0.2:8080", "10.0.0.3:8080", "10.0.9.2:8080"]);
}

#[tokio::test]
async fn who_waits_for_a_look_up_shares_what_comes_of_it() {
    let table = Arc::<NameTable>::default();
    let nodes = named(&table, &[("jira", 8080)], true);
    let turn = nodes.looking.lock().await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let nodes = Arc::clone(&nodes);
            tokio::spawn(async move { nodes.make_ready().await })
        })
        .collect();
    while Arc::strong_count(&nodes) < 4 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    // It is over, and has found nothing. That there is something now is for the next one to find.
    nodes.look_ups.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    lead(&table, &[("jira", &[[10, 0, 0, 1]])]);
    drop(turn);
    for one in waiting {
        assert_eq!(one.await.unwrap(), Err(NoAddress));
    }
    nodes.make_ready().await.unwrap();
}

#[tokio::test]
async fn other_settings_begin_where_names_led_before() {
    let table = Arc::<NameTable>::default();
    let before = named(&table, &[("jira", 8080), ("standby", 8080)], true);
    lead(&table, &[("jira", &[[10, 0, 0, 1], [10, 0, 0, 2]]), ("standby", &[[10, 0, 9, 1]])]);
    before.make_ready().await.unwrap();
    put_out(&before.find(([10, 0, 0, 2], 8080).into()).unwrap());
    let url = "http://localhost:8080/jira".parse().unwrap();
    let address = |host: &str, port| NodeAddress { host: host.into(), port, tls: true };
    let addresses = vec![address("jira", 8080), address("standby", 9090)];
    let settings = NodesSettings { addresses, ..NodesSettings::default() };
    let upstream = UpstreamSettings { nodes: settings, ..UpstreamSettings::at(url) };
    let now = Nodes::new(&upstream, &PortalLimits::default(), NodesParts::unwatched(), Some(&*before));
    assert_eq!(found(&now), ["10.0.0.1:8080", "10.0.0.2:8080"], "another port is another address");
    assert!(now.standing().iter().all(|node| node.up), "how they stood is not taken over");
}

#[test]
fn calls_for_the_site_stay_at_one_node_whatever_the_balance() {
    for balance in [Balance::Person, Balance::Spread, Balance::InOrder] {
        let nodes = nodes(settings(&[1, 2, 3], balance));
        let first = port(&nodes, Choice::TheSite);
        assert!((0..9).all(|_| port(&nodes, Choice::TheSite) == first), "{balance:?}");
        put_out(&at(&nodes, first));
        assert_ne!(port(&nodes, Choice::TheSite), first);
    }
}

#[tokio::test]
async fn without_tls_no_name_leads_off_this_machine() {
    let table = Arc::<NameTable>::default();
    let nodes = named(&table, &[("localhost", 8080)], false);
    lead(&table, &[("localhost", &[[10, 0, 0, 1], [127, 0, 0, 1]])]);
    nodes.make_ready().await.unwrap();
    assert_eq!(found(&nodes), ["127.0.0.1:8080"]);
    lead(&table, &[("localhost", &[[10, 0, 0, 1]])]);
    assert_eq!(nodes.look_up().await, Err(NoAddress));
    assert!(nodes.pick(Choice::Anybody, &[]).is_none());
}

#[test]
fn a_site_that_is_reached_by_its_own_name_has_no_nodes_to_tell_apart() {
    let nodes = Nodes::for_test("http://127.0.0.1:8080/jira".parse().unwrap());
    assert!(!nodes.are_told_apart() && nodes.goes_to(local(9)));
    assert_eq!(found(&nodes), ["127.0.0.1:8080"]);
}
