//! Scripts of `tests/browser`, as child processes that speak in lines of JSON. They end with the test, however it ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long one answer may take: a browser that starts on a busy machine takes a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// A script that runs.
pub struct Script {
    name: &'static str,
    child: Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// Starts `tests/browser/{name}` with these arguments, and these variables beside the usual ones.
    pub fn start(name: &'static str, arguments: &[&str], variables: &[(&str, &Path)]) -> Self {
        let folder = folder();
        assert!(
            ["oidc-provider", "playwright-core", "samlp"]
                .iter()
                .all(|name| folder.join("node_modules").join(name).is_dir()),
            "tests/browser/node_modules is missing or incomplete: run (cd tests/browser && npm ci), or scripts/test"
        );
        let mut command = Command::new("node");
        command.arg(folder.join(name)).args(arguments).envs(variables.iter().copied());
        Self::run(name, command)
    }

    /// Starts a command that speaks in lines of JSON too.
    pub fn run(name: &'static str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started ({error}): run scripts/install-packages test"));
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { name, child, to, from }
    }

    /// Tells the script something.
    pub async fn tell(&mut self, line: &Value) {
        let to = self.to.as_mut().unwrap();
        let sent = to.write_all(format!("{line}\n").as_bytes()).await;
        sent.unwrap_or_else(|error| panic!("{} does not listen: {error}", self.name));
    }

    /// The next line from the script.
    pub async fn answer(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.from.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{} gave no answer within {PATIENCE:?}", self.name)).unwrap();
        let line = line.unwrap_or_else(|| panic!("{} ended; what it said stands above", self.name));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{} said {line:?}: {error}", self.name))
    }

    /// Stops the script, and waits until it is gone.
    pub async fn stop(mut self) {
        drop(self.to.take());
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    /// Kills the script, and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    // A test binary is in TARGET/debug/deps.
    let binary = std::env::current_exe().unwrap();
    binary.ancestors().nth(3).unwrap().to_owned()
}

/// Where pictures are kept: `screenshots` in cargo's target folder.
pub fn screenshots() -> PathBuf {
    target().join("screenshots")
}

/// Debian's Chromium, or the one that `CHROMIUM` names.
pub fn chromium() -> PathBuf {
    let path = std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
    assert!(
        path.is_file(),
        "there is no Chromium at {}: run scripts/install-packages test, or set CHROMIUM",
        path.display()
    );
    path
}
