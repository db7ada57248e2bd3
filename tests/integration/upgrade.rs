//! The real binary takes the place of itself, while people are signed in, on their way, and in the middle of something.

mod activation;
mod faults;
mod load;
mod under_way;

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Stdio;

use reqwest::Client;
use serde_json::Value;
use tokio::process::Command;
use vestibule::clock::Clock;
use vestibule::demo::openid_provider::{self, ClientAuthentication, OpenIdProvider, Person, Settings};
use vestibule::demo::server::Server;
use vestibule::random::Random;
use vestibule::secret::Secret;

use crate::child::{CLIENT_SECRET, Gateway, PATIENCE, configuration, free_addresses};
use crate::harness::{location, navigate, set_cookies};
use crate::process::Place;
use crate::recorder::Recorder;

/// A gateway that is started by a path of its own, with a provider beside it, in front of a recorder.
struct World {
    place: Place,
    gateway: Gateway,
    _provider: Server,
    recorder: Recorder,
    admin: String,
    /// The first configuration.
    text: String,
}

impl World {
    async fn start(recorder: Recorder) -> Self {
        Self::start_in(recorder, "", &[]).await
    }

    /// `listen` are more lines of that part.
    async fn start_in(recorder: Recorder, listen: &str, environment: &[(&str, &str)]) -> Self {
        let place = Place::new();
        let people = ["ana", "ben"].map(|name| Person::new(name, name, &format!("{name}@acme.example"))).to_vec();
        let settings = Settings { people, ..Settings::default() };
        let provider = OpenIdProvider::new(settings.approve_by_login_hint(), Clock::System, Random::default());
        let server = Server::start(provider.router(), "127.0.0.1:0".parse().unwrap(), None, None).await.unwrap();
        provider.set_issuer(&format!("http://localhost:{}", server.addr().port()));
        provider.register(openid_provider::Client {
            id: "vestibule".into(),
            authentication: ClientAuthentication::Secret(Secret::generated(CLIENT_SECRET)),
            redirect_uris: vec![place.url("/.vestibule/oidc/acme/callback")],
            post_logout_redirect_uris: vec![],
        });
        let [admin] = free_addresses();
        let listen = format!("  admin: \"{admin}\"\n{listen}");
        let text = configuration(place.https, &listen, &provider.issuer(), recorder.address);
        place.write(&text);
        let program = place.file("vestibule");
        symlink(env!("CARGO_BIN_EXE_vestibule"), &program).unwrap();
        let mut command = Command::new(&program);
        command.args(["run", "--config", place.config().to_str().unwrap()]).env_remove("VESTIBULE_CONFIG");
        command.envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
        let gateway = Gateway::start_by(command, 1).await.unwrap();
        let admin = format!("http://{admin}");
        Self { place, gateway, _provider: server, recorder, admin, text }
    }

    /// The program is another one from now on: a script, which may call the real one by `$REAL "$@"`.
    fn replace_program(&self, script: &str) {
        let (new, program) = (self.place.file("next"), self.place.file("vestibule"));
        std::fs::write(&new, script.replace("$REAL", env!("CARGO_BIN_EXE_vestibule"))).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(new, program).unwrap();
    }

    /// It is the real one again.
    fn restore_program(&self) {
        let (new, program) = (self.place.file("next"), self.place.file("vestibule"));
        symlink(env!("CARGO_BIN_EXE_vestibule"), &new).unwrap();
        std::fs::rename(new, program).unwrap();
    }

    /// `vestibule upgrade`.
    async fn upgrade(&self) -> (i32, String, String) {
        self.place.carry_out("upgrade").await
    }

    /// The same, and it works.
    async fn upgraded(&self) {
        let before = self.process().await;
        let (code, out, said) = self.upgrade().await;
        assert_eq!((code, said.as_str()), (0, ""), "{out} {:?}", self.gateway.log());
        let now = self.process().await;
        assert_eq!(out, format!("version {} serves, as process {now}\n", env!("CARGO_PKG_VERSION")));
        assert_ne!(before, now);
    }

    async fn admin(&self, path: &str) -> String {
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE).build().unwrap();
        client.get(format!("{}{path}", self.admin)).send().await.unwrap().text().await.unwrap()
    }

    async fn status(&self) -> Value {
        serde_json::from_str(&self.admin("/status").await).unwrap()
    }

    /// The number of the process that serves.
    async fn process(&self) -> u64 {
        self.status().await["process"]["number"].as_u64().unwrap()
    }

    async fn metric(&self, line: &str) -> bool {
        self.admin("/metrics").await.lines().any(|one| one == line)
    }

    /// A browser that keeps cookies and no connection, and follows no redirect.
    fn browser(&self) -> Client {
        let builder = self.place.builder().cookie_store(true).redirect(reqwest::redirect::Policy::none());
        builder.pool_max_idle_per_host(0).build().unwrap()
    }

    /// Goes to the provider and comes back; gives the address at which the sign-in ends.
    async fn way_back(&self, browser: &Client, person: &str) -> String {
        let stopped = navigate(browser, &self.place.url("/deep/7")).await;
        assert_eq!(stopped.status(), 303);
        let approved = browser.get(format!("{}&login_hint={person}", location(&stopped))).send().await.unwrap();
        location(&approved)
    }

    /// Signs in; gives the session's cookie.
    async fn sign_in(&self, browser: &Client, person: &str) -> String {
        let back = self.way_back(browser, person).await;
        let returned = navigate(browser, &back).await;
        assert_eq!((returned.status().as_u16(), location(&returned).as_str()), (303, "/deep/7"));
        let cookies = set_cookies(&returned);
        let session = cookies.iter().find_map(|cookie| cookie.strip_prefix("__Host-vestibule=")).expect("a session");
        session.split(';').next().unwrap().to_owned()
    }

    async fn is_signed_in(&self, browser: &Client) -> bool {
        match navigate(browser, &self.place.url("/deep/7")).await.status().as_u16() {
            200 => true,
            303 => false,
            other => panic!("{other}"),
        }
    }

    /// Ends the process that serves, whichever it is; the store is whole.
    async fn end(mut self) {
        let serving = self.process().await;
        signal(serving, "TERM").await;
        self.gateway.gone().await;
        gone(serving).await;
        let log = self.gateway.log().join("\n");
        assert!(
            !log.contains("panicked") && !log.contains(crate::harness::KEY) && !log.contains(CLIENT_SECRET),
            "{log}"
        );
        let mut next = Gateway::start(&self.place.config(), 1).await.unwrap();
        next.signal("TERM").await;
        let (status, said) = next.ended().await;
        assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    }
}

/// Those that took over are nobody's children: found by the one configuration file that is theirs alone.
impl Drop for World {
    fn drop(&mut self) {
        for process in running(&self.place.config()) {
            let _ = std::process::Command::new("sh").args(["-c", "kill -9 \"$0\"", &process.to_string()]).status();
        }
    }
}

/// The processes that were started with this configuration.
fn running(config: &std::path::Path) -> Vec<u64> {
    let config = config.to_str().unwrap();
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ours = |process: &u64| {
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == config.as_bytes())
    };
    processes.filter(ours).collect()
}

async fn signal(process: u64, name: &str) {
    let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &process.to_string()]).status().await;
    assert!(sent.unwrap().success());
}

/// Waits until a process is gone, or waits for its parent to notice.
async fn gone(process: u64) {
    crate::harness::eventually("the process ends", || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        status.is_err() || status.is_ok_and(|status| status.contains("State:\tZ"))
    })
    .await;
}

/// A named pipe: whoever reads it waits until somebody writes.
fn pipe(world: &World, name: &str) -> PathBuf {
    let path = world.place.file(name);
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}
