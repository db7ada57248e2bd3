//! What goes wrong leaves the process before serving, or the next one.

use super::{World, gone, pipe, running, signal};
use crate::recorder::{Answer, Recorder};

async fn world() -> World {
    World::start(Recorder::start(Answer::default()).await).await
}

/// The one before serves on, for those who are signed in, too.
async fn serves_on(world: &World, browser: &reqwest::Client, before: u64, result: &str) {
    assert_eq!(world.process().await, before);
    assert!(world.is_signed_in(browser).await);
    let other = world.browser();
    world.sign_in(&other, "ben").await;
    assert_eq!(world.status().await["process"]["last_upgrade"], result);
    assert!(world.metric(&format!("vestibule_upgrades_total{{result=\"{result}\"}} 1")).await);
    let log = world.gateway.logged("no other process has taken over: this one serves on");
    assert!(log["problems"].as_str().is_some_and(|problems| !problems.is_empty()), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_configuration_leaves_the_process_before_serving() {
    let world = world().await;
    let (browser, before) = (world.browser(), world.process().await);
    world.sign_in(&browser, "ana").await;
    world.place.write(&world.text.replace("upstream:", "upsteam:"));
    let (code, out, said) = world.upgrade().await;
    assert_eq!((code, out.as_str()), (1, ""), "the command finds it first");
    assert!(said.contains("upsteam") && said.contains("gateway.yaml"), "{said}");
    signal(before, "USR2").await;
    world.gateway.wait_for_log("this one serves on").await;
    serves_on(&world, &browser, before, "cannot_serve").await;

    // What only the next process meets: somebody has the port.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    world.place.write(&world.text.replace("  admin:", &format!("  http: \"{address}\"\n  admin:")));
    let (code, out, said) = world.upgrade().await;
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    let told = format!("vestibule: cannot listen on {address}: ");
    assert!(said.starts_with(&told) && said.ends_with("vestibule: the process before serves on\n"), "{said}");
    assert_eq!(world.process().await, before);
    world.place.write(&world.text);
    world.upgraded().await;
    assert!(world.is_signed_in(&browser).await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_none_or_crashes_leaves_the_process_before_serving() {
    let world = world().await;
    let (browser, before) = (world.browser(), world.process().await);
    world.sign_in(&browser, "ana").await;
    world.replace_program("#!/bin/sh\nkill -SEGV $$\n");
    let (code, out, said) = world.upgrade().await;
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    assert!(said.contains("ended before it was ready (signal: 11"), "{said}");
    serves_on(&world, &browser, before, "ended").await;
    world.replace_program("#!/bin/sh\n$REAL \"$@\"\nexit 0\n");
    let (code, _, said) = world.upgrade().await;
    assert!(code == 1 && said.contains("has to end with `exec`"), "{said}");
    std::fs::remove_file(world.place.file("vestibule")).unwrap();
    let (code, _, said) = world.upgrade().await;
    assert!(code == 1 && said.contains("vestibule cannot be started: No such file"), "{said}");
    world.restore_program();
    world.upgraded().await;
    world.end().await;
}

/// Says that it is prepared, and is killed when it has been given everything.
const DIES_WITH_EVERYTHING: &str = r#"#!/usr/bin/python3
import os, signal, socket
line = socket.socket(fileno=0)
prepared = b"\x81\xa8Prepared\x82\xa7version\xa19\xa7process\xce" + os.getpid().to_bytes(4, "big")
line.sendall(len(prepared).to_bytes(4, "big") + prepared)
said = b""
while b"Yours" not in said:
    more = line.recv(65536)
    if not more:
        break
    said += more
os.kill(os.getpid(), signal.SIGKILL)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_next_process_had_is_taken_back_when_it_dies_before_it_serves() {
    let world = world().await;
    let (browser, before) = (world.browser(), world.process().await);
    world.sign_in(&browser, "ana").await;
    let late = world.browser();
    let back = world.way_back(&late, "ben").await;
    world.replace_program(DIES_WITH_EVERYTHING);
    let (code, out, said) = world.upgrade().await;
    assert_eq!((code, out.as_str()), (1, ""), "{said}");
    assert!(said.contains("it was taken back: the new process ended before it was ready (signal: 9"), "{said}");
    serves_on(&world, &browser, before, "taken_back").await;
    assert_eq!(late.get(&back).send().await.unwrap().status(), 303);
    assert!(world.is_signed_in(&late).await, "a sign-in that was under way ends well");

    // The store of the new configuration cannot be opened.
    world.restore_program();
    world.place.write(&world.text.replace("path: sessions.redb", "path: nowhere/sessions.redb"));
    signal(before, "USR2").await;
    world.gateway.wait_for_log("its folder does not exist").await;
    assert!(world.is_signed_in(&late).await);
    world.place.write(&world.text);
    world.upgraded().await;
    assert!(world.is_signed_in(&late).await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_process_before_dies_in_the_middle_the_next_one_serves() {
    let mut world = world().await;
    let browser = world.browser();
    world.sign_in(&browser, "ana").await;
    world.replace_program("#!/bin/sh\nkill -9 $PPID\nexec $REAL \"$@\"\n");
    world.gateway.signal("USR2").await;
    assert!(!world.gateway.gone().await.success());
    world.gateway.wait_for_log("has died in the middle of the handover").await;
    world.gateway.wait_for_logs(2, "serving portal").await;
    assert!(world.is_signed_in(&browser).await, "the store is whole");
    world.restore_program();
    world.upgraded().await;
    assert!(world.is_signed_in(&browser).await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_upgrades_at_once_the_second_is_refused() {
    let world = world().await;
    let gate = pipe(&world, "gate");
    world.replace_program(&format!("#!/bin/sh\nread word < {}\nexec $REAL \"$@\"\n", gate.display()));
    let before = world.process().await;
    signal(before, "USR2").await;
    crate::harness::eventually("the next one has begun", || running(&world.place.config()).len() == 2).await;
    let (code, _, said) = world.upgrade().await;
    assert_eq!(
        (code, said.as_str()),
        (1, "vestibule: another upgrade is under way\nvestibule: the process before serves on\n")
    );
    tokio::task::spawn_blocking(move || std::fs::write(gate, "go\n")).await.unwrap().unwrap();
    world.gateway.wait_for_log("another process has taken over").await;
    assert_ne!(world.process().await, before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_waited_for_an_upgrade_is_not_told_as_in_force() {
    let world = world().await;
    let gate = pipe(&world, "gate");
    world.replace_program(&format!("#!/bin/sh\nread word < {}\nexec $REAL \"$@\"\n", gate.display()));
    let before = world.process().await;
    signal(before, "USR2").await;
    crate::harness::eventually("the next one has begun", || running(&world.place.config()).len() == 2).await;
    signal(before, "HUP").await;
    tokio::task::spawn_blocking(move || std::fs::write(gate, "go\n")).await.unwrap().unwrap();
    world.gateway.wait_for_log("serves what it has read: reload once more").await;
    gone(before).await;
    assert!(!world.gateway.log().iter().any(|line| line.contains("was read again and is in force")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_stopped_meanwhile_starts_nobody() {
    let mut world = world().await;
    let gate = pipe(&world, "gate");
    world.replace_program(&format!("#!/bin/sh\nread word < {}\nexec $REAL \"$@\"\n", gate.display()));
    world.gateway.signal("USR2").await;
    crate::harness::eventually("the next one has begun", || running(&world.place.config()).len() == 2).await;
    let next = running(&world.place.config()).into_iter().max().unwrap();
    world.gateway.signal("TERM").await;
    assert!(world.gateway.gone().await.success());
    gone(next).await;
    assert!(running(&world.place.config()).is_empty());
    assert!(world.gateway.logged("stopped")["all_finished"].as_bool().unwrap());
}
