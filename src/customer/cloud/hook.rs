//! The operator's own program that knows customers' passwords.
//!
//! It is run without a shell, in an empty environment but for `PATH` and `LANG`, in the root folder, with one line of JSON on
//! standard input (`{"email": .., "account_id": .., "portal": ..}`), and has to write the password on standard output and
//! end with 0; with [`NONE`] when it knows none. It is trusted with what it says, and with nothing else: it has so much
//! time, so much to say, and whatever it writes on standard error is thrown away, for it may hold the password.

use std::fmt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::clock::deadline as in_time;
use crate::portal::settings::HookSettings;
use crate::secret::Secret;

/// The exit code of a program that knows no password for this person.
const NONE: i32 = 3;
/// The longest password, in bytes.
pub const LONGEST: usize = 512;
/// Where programs are looked for that the hook runs in turn.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The program.
pub struct PasswordHook {
    settings: HookSettings,
    places: Semaphore,
}

/// Whose password is wanted.
#[derive(Serialize)]
pub struct Wanted<'a> {
    /// The address that the account has at the site.
    pub email: &'a str,
    /// The account's id.
    pub account_id: &'a str,
    /// The portal.
    pub portal: &'a str,
}

/// Why the program gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookFailed {
    /// It cannot be run.
    #[error("it cannot be run: {0}")]
    NotRun(String),
    /// It took too long.
    #[error("it took too long")]
    TooSlow,
    /// It ended with another code than 0 and 3, or by a signal.
    #[error("it ended with {0}")]
    Ended(String),
    /// What it wrote is no password.
    #[error("what it wrote is no password: one line of text, at most {LONGEST} bytes")]
    NoPassword,
}

impl PasswordHook {
    /// The program of the settings.
    pub fn new(settings: HookSettings) -> Self {
        let places = Semaphore::new(settings.concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self { settings, places }
    }

    /// The password of that person; `None` when the program knows none.
    ///
    /// # Errors
    /// When the program does not do its part in time.
    pub async fn ask(&self, wanted: &Wanted<'_>, deadline: Instant) -> Result<Option<Secret>, HookFailed> {
        let waited = tokio::time::timeout_at(deadline, self.places.acquire()).await;
        let _place = waited.map_err(|_| HookFailed::TooSlow)?;
        let deadline = deadline.min(in_time(self.settings.timeout));
        // The program is killed when it is waited for no longer.
        tokio::time::timeout_at(deadline, self.run(wanted)).await.map_err(|_| HookFailed::TooSlow)?
    }

    async fn run(&self, wanted: &Wanted<'_>) -> Result<Option<Secret>, HookFailed> {
        let not_run = |error: std::io::Error| HookFailed::NotRun(error.to_string());
        let mut child = Command::new(&self.settings.program)
            .args(&self.settings.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .map_err(not_run)?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let mut line = serde_json::to_vec(wanted).map_err(|error| HookFailed::NotRun(error.to_string()))?;
        line.push(b'\n');
        if let Some(mut input) = child.stdin.take() {
            // A program that does not read has decided without.
            let _ = input.write_all(&line).await;
        }
        // Never grown, so that no copy is left behind.
        let mut said = Zeroizing::new(Vec::with_capacity(LONGEST.saturating_add(8)));
        let most = u64::try_from(LONGEST.saturating_add(3)).unwrap_or(u64::MAX);
        if let Some(output) = child.stdout.take() {
            output.take(most).read_to_end(&mut said).await.map_err(not_run)?;
        }
        let status = child.wait().await.map_err(not_run)?;
        group.ended();
        match status.code() {
            Some(0) => password(&said).map(Some).ok_or(HookFailed::NoPassword),
            Some(NONE) => Ok(None),
            Some(code) => Err(HookFailed::Ended(format!("code {code}"))),
            None => Err(HookFailed::Ended("a signal".to_owned())),
        }
    }
}

/// The program and whatever it has started, ended when it is waited for no longer.
struct Group(Option<Pid>);

impl Group {
    /// The program has ended by itself: its number may soon be somebody else's.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "a hook program could not be ended with all that it has started");
        }
    }
}

impl fmt::Debug for PasswordHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHook({})", self.settings.program.display())
    }
}

/// The one line that was written, without its end.
fn password(said: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(said).ok()?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    is_password(text).then(|| Secret::generated(text))
}

/// Whether the text can be a password at all: not empty, not too long, on one line.
pub fn is_password(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::clock::deadline;

    const WANTED: Wanted<'_> = Wanted { email: "ana@acme.com", account_id: "qm:1:2", portal: "support.acme.com" };

    fn hook(folder: &std::path::Path, script: &str, timeout: Duration) -> PasswordHook {
        let program = folder.join("hook");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        PasswordHook::new(HookSettings {
            program,
            arguments: vec!["a b".into(), "$(x)".into()],
            timeout,
            concurrency: 2,
        })
    }

    async fn ask(script: &str) -> Result<Option<String>, HookFailed> {
        let folder = tempfile::tempdir().unwrap();
        let hook = hook(folder.path(), script, Duration::from_secs(10));
        let asked = hook.ask(&WANTED, deadline(Duration::from_secs(20))).await;
        asked.map(|password| password.map(|password| password.reveal().to_owned()))
    }

    #[tokio::test]
    async fn it_is_told_who_is_meant_and_says_the_password() {
        let told = r#"{"email":"ana@acme.com","account_id":"qm:1:2","portal":"support.acme.com"}"#;
        assert_eq!(ask("cat").await, Ok(Some(told.to_owned())));
        assert_eq!(
            ask("printf '%s|%s' \"$1\" \"$2\"").await,
            Ok(Some("a b|$(x)".to_owned())),
            "no shell looks at them"
        );
        assert_eq!(ask("printf 'pass word\\r\\n'").await, Ok(Some("pass word".to_owned())));
        assert_eq!(ask("exit 3").await, Ok(None));
    }

    #[tokio::test]
    async fn it_gets_nothing_of_ours() {
        let told = ask("env | sort | tr '\\n' ';'; pwd").await.unwrap().unwrap();
        let names: Vec<&str> = told.split(';').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).collect();
        assert!(names.iter().all(|name| ["LANG", "PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name)), "{told}");
        assert!(told.ends_with('/'), "{told}");
    }

    #[tokio::test]
    async fn what_is_no_password_is_refused() {
        for script in [
            ":",
            "echo",
            "printf 'two\\nlines\\n'",
            "printf 'a\\tb'",
            "printf '\\377'",
            "head -c 600 /dev/zero | tr '\\0' a",
            "cat /dev/zero | tr '\\0' a",
        ] {
            let failed = ask(script).await.unwrap_err();
            assert!(matches!(failed, HookFailed::NoPassword | HookFailed::Ended(_)), "{script}: {failed}");
        }
        assert_eq!(ask("echo secret; exit 1").await, Err(HookFailed::Ended("code 1".into())));
        assert_eq!(ask("kill -9 $$").await, Err(HookFailed::Ended("a signal".into())));
    }

    #[tokio::test]
    async fn it_is_stopped_when_it_takes_too_long_and_need_not_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let ran = folder.path().join("ran");
        let slow = format!("mkfifo {0}.fifo; cat {0}.fifo & echo $! > {0}; wait", ran.display());
        let slow = hook(folder.path(), &slow, Duration::from_secs(1));
        assert_eq!(slow.ask(&WANTED, deadline(Duration::from_secs(20))).await.unwrap_err(), HookFailed::TooSlow);
        let started = format!("/proc/{}/cmdline", std::fs::read_to_string(&ran).unwrap().trim());
        // What it has started is ended, too; an ended process has no command line.
        let ended = async {
            while std::fs::read(&started).is_ok_and(|line| !line.is_empty()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
        let settings = HookSettings {
            program: "/nowhere/hook".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(1),
            concurrency: 1,
        };
        let failed = PasswordHook::new(settings).ask(&WANTED, deadline(Duration::from_secs(1))).await.unwrap_err();
        assert!(matches!(failed, HookFailed::NotRun(_)), "{failed}");
    }
}
