//! Sockets that a service manager has opened, and what it is told of who serves. The units of `docs/operations.md` are those
//! that systemd understands.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::process::Command;

use super::{PATIENCE, World, gone};
use crate::child::{Gateway, free_addresses};
use crate::harness::eventually;
use crate::process::Place;
use crate::recorder::{Answer, Recorder};

/// The program under `systemd-socket-activate`, which opens these sockets and starts it at the first connection.
fn activated(place: &Place, sockets: &[SocketAddr]) -> Command {
    let mut command = Command::new("systemd-socket-activate");
    for socket in sockets {
        command.arg("-l").arg(socket.to_string());
    }
    command.arg(env!("CARGO_BIN_EXE_vestibule")).args(["run", "--config", place.config().to_str().unwrap()]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Connects until somebody listens; that starts the program.
async fn knock(address: SocketAddr) -> std::net::TcpStream {
    let mut knocked = None;
    eventually("somebody listens", || {
        knocked = std::net::TcpStream::connect(address).ok();
        knocked.is_some()
    })
    .await;
    knocked.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_the_service_manager_are_used_and_outlive_an_upgrade() {
    let (place, recorder) = (Place::new(), Recorder::start(Answer::default()).await);
    let [admin, http] = free_addresses();
    // One of the three is not passed, and is bound as usual.
    place.write(&place.text(&format!("  admin: \"{admin}\"\n  http: \"{http}\"\n"), recorder.address));
    let command = activated(&place, &[admin, place.https]);
    let first = tokio::spawn(async move { Gateway::start_by(command, 1).await });
    // A request that comes before the program is there is answered.
    drop(knock(admin).await);
    let url = place.url("/public/a");
    assert_eq!(place.client().get(&url).send().await.unwrap().status(), 200);
    let mut gateway = first.await.unwrap().unwrap();
    assert!(std::net::TcpStream::connect(http).is_ok());
    let (code, out, said) = place.carry_out("upgrade").await;
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    assert!(gateway.gone().await.success());
    assert_eq!(place.client().get(&url).send().await.unwrap().status(), 200);
    let next = super::running(&place.config());
    assert_eq!(next.len(), 1);
    super::signal(next[0], "TERM").await;
    gone(next[0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_no_listener_wants_is_an_error_with_both_addresses() {
    let place = Place::new();
    let [other] = free_addresses();
    let mut command = activated(&place, &[place.https, other]);
    let starting = tokio::spawn(async move { command.output().await.unwrap() });
    let _knocked = knock(place.https).await;
    let output = tokio::time::timeout(PATIENCE, starting).await.expect("it ends").unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let told = format!("passed a socket that listens on {other}, and the configuration listens on {}:", place.https);
    assert!(said.contains(&told), "{said}");
    assert!(!place.file("sessions.redb").exists(), "nothing was begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_who_serves_after_an_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let told = tokio::net::UnixDatagram::bind(&socket).unwrap();
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "60000000")];
    let world = World::start_in(Recorder::start(Answer::default()).await, "", &environment).await;
    let next = async || {
        let mut message = [0; 256];
        let length = tokio::time::timeout(PATIENCE, told.recv(&mut message)).await.expect("it says something").unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap().trim().to_owned()
    };
    assert_eq!(next().await, "READY=1\nWATCHDOG=1");
    world.upgraded().await;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last| last != "READY=1\nWATCHDOG=1") {
        let message = next().await;
        if message != "WATCHDOG=1" {
            heard.push(message);
        }
    }
    // In this order: what another than the main process says is not heard.
    // Each is a sign of life: the time of the watchdog begins anew with the process that is watched.
    let process = world.process().await;
    assert_eq!(heard, [format!("MAINPID={process}\nWATCHDOG=1"), "READY=1\nWATCHDOG=1".to_owned()]);
    world.end().await;
}

#[test]
fn systemd_understands_the_units_of_the_documents() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for (before, unit) in text.split("```ini\n").zip(text.split("```ini\n").skip(1)) {
        let unit = unit.split("```").next().unwrap();
        let name = before.rsplit("/etc/systemd/system/").next().unwrap().split('`').next().unwrap();
        // The program that is there, and what Debian 12 knows.
        let unit = unit.replace("/usr/local/bin/vestibule", env!("CARGO_BIN_EXE_vestibule"));
        units.push((name.to_owned(), unit.replace("Type=notify-reload", "Type=notify")));
    }
    let names: Vec<&str> = units.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["vestibule.service", "vestibule.socket", "vestibule.service"]);
    // The first stands alone; the others belong together.
    for (place, units) in [("alone", &units[..1]), ("with-socket", &units[1..])] {
        let place = folder.path().join(place);
        std::fs::create_dir(&place).unwrap();
        let mut command = std::process::Command::new("systemd-analyze");
        command.args(["verify", "--man=no"]);
        for (name, unit) in units {
            std::fs::write(place.join(name), unit).unwrap();
            command.arg(place.join(name));
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !said.contains(place.to_str().unwrap()), "{said}");
    }
}
