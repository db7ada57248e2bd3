//! The real binary as a process of its own: what an operator starts, reads, signals and kills.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Longest wait for anything that a process has to do.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, with nothing of this process's environment that it would read.
pub fn vestibule(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(arguments).env_remove("VESTIBULE_CONFIG").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command that ends by itself.
pub async fn outcome(arguments: &[&str]) -> (i32, String, String) {
    let output = tokio::time::timeout(PATIENCE, vestibule(arguments).output()).await.expect("it ends").unwrap();
    let Output { status, stdout, stderr } = output;
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Loopback addresses that were free a moment ago.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

/// `vestibule run`, serving.
pub struct Gateway {
    child: Child,
    lines: Lines,
}

/// What a process wrote to standard output so far.
#[derive(Clone)]
struct Lines {
    text: Arc<Mutex<Vec<String>>>,
    count: watch::Receiver<usize>,
}

impl Gateway {
    /// Starts it, and waits until the last of its portals is served.
    ///
    /// # Errors
    /// What it wrote to standard error, when it ended instead.
    pub async fn start(config: &Path, portals: usize) -> Result<Self, String> {
        Self::start_in(config, portals, &[]).await
    }

    /// The same with more of an environment.
    ///
    /// # Errors
    /// What it wrote to standard error, when it ended instead.
    pub async fn start_in(config: &Path, portals: usize, environment: &[(&str, &str)]) -> Result<Self, String> {
        let mut command = vestibule(&["run", "--config", config.to_str().unwrap()]);
        command.envs(environment.iter().copied());
        Self::start_by(command, portals).await
    }

    /// The same by any command that leads to it.
    ///
    /// # Errors
    /// What it wrote to standard error, when it ended instead.
    pub async fn start_by(mut command: Command, portals: usize) -> Result<Self, String> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        let mut gateway = Self { child, lines };
        let serving = |line: &str| line.contains("serving portal");
        if gateway.lines.wait_for(|lines| lines.iter().filter(|line| serving(line)).count() >= portals).await {
            return Ok(gateway);
        }
        let mut said = String::new();
        gateway.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        Err(said)
    }

    /// Every line of the log so far.
    pub fn log(&self) -> Vec<String> {
        self.lines.text.lock().unwrap().clone()
    }

    /// The line of the log that has this message.
    pub fn logged(&self, message: &str) -> serde_json::Value {
        let lines = self.log().into_iter().map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
        lines.into_iter().find(|line| line["message"] == message).unwrap_or_else(|| panic!("{:?}", self.log()))
    }

    /// Waits until so many lines hold `text`.
    pub async fn wait_for_logs(&self, count: usize, text: &str) {
        let enough = |lines: &[String]| lines.iter().filter(|line| line.contains(text)).count() >= count;
        assert!(self.lines.wait_for(enough).await, "it ended without {count} of {text:?}: {:?}", self.log());
    }

    /// Waits for the end of this process, whoever else writes to its log.
    pub async fn gone(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }

    /// Waits for a line that holds `text`.
    pub async fn wait_for_log(&self, text: &str) {
        let found = self.lines.wait_for(|lines| lines.iter().any(|line| line.contains(text))).await;
        assert!(found, "it ended without {text:?}: {:?}", self.log());
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends a signal, by the name that `kill` knows.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status().await.unwrap();
        assert!(sent.success());
    }

    /// SIGKILL; gives back when it is gone.
    pub async fn kill_9(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end and the end of its log; gives the status and what it wrote to standard error.
    pub async fn ended(&mut self) -> (ExitStatus, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        self.lines.wait_for(|_| false).await; // the end of the log
        (status, said)
    }
}

impl Lines {
    fn of(stdout: tokio::process::ChildStdout) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let (tell, count) = watch::channel(0);
        let kept = Arc::clone(&text);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push(line);
                tell.send_modify(|count| *count += 1);
            }
        });
        Self { text, count }
    }

    /// Waits until `enough`; false when the process ended before.
    async fn wait_for(&self, enough: impl Fn(&[String]) -> bool) -> bool {
        let mut count = self.count.clone();
        let found = async {
            loop {
                count.borrow_and_update();
                if enough(&self.text.lock().unwrap()) {
                    return true;
                }
                if count.changed().await.is_err() {
                    return enough(&self.text.lock().unwrap());
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{:?}", self.text.lock().unwrap()))
    }
}

/// A certificate for `localhost` and its key, in `folder`, as `NAME.pem` and `NAME.key`.
pub fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let (cert_file, key_file) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&cert_file, made.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    (cert_file, key_file)
}

/// A `gateway.yaml` with one portal, `localhost`, before `upstream`. Files are beside it; public rules below `/public`.
pub fn configuration(https: SocketAddr, others: &str, issuer: &str, upstream: SocketAddr) -> String {
    format!(
        "version: 1\n\
         listen:\n  https: \"{https}\"\n{others}\
         tls: {{ certificates: [ {{ cert: site.pem, key: site.key }} ] }}\n\
         keys: [ {key} ]\n\
         session: {{ store: {{ embedded: {{ path: sessions.redb }} }} }}\n\
         identity_providers:\n  acme:\n    oidc: {{ issuer: \"{issuer}\", client_id: vestibule, client_secret: {CLIENT_SECRET} }}\n    \
         label: Acme\n\
         portals:\n  - host: localhost\n    upstream: \"http://{upstream}\"\n    sign_in: {{ providers: [acme] }}\n    \
         customer_session: none\n    rules: [ {{ path: \"/public/**\", access: public }} ]\n",
        key = crate::harness::KEY,
    )
}

/// The gateway's secret at its provider.
pub const CLIENT_SECRET: &str = "the-secret-at-the-provider";
