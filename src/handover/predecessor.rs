//! The old process's side.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::line::send_with;
use super::successor::TAKES_OVER_FROM;
use super::{Line, PROTOCOL, ToPredecessor, ToSuccessor, Welcome};
use crate::clock::deadline;
use crate::session::store::lent::{Granted, Wished};
use crate::session::{SessionNews, Sessions, StoreError, ToldBy};
use crate::sign_in::under_way::HeldSignIn;

/// How long the new process may take until it is ready but for the store.
const TO_PREPARE: Duration = Duration::from_secs(30);
/// How long it may take to open the store and accept connections. Visitors who need the store wait meanwhile.
const TO_SERVE: Duration = Duration::from_secs(30);
/// How long one that is not wanted may take to end by itself: it may be about to say why.
const TO_END: Duration = Duration::from_millis(500);
/// What a service manager tells its own child, and what a child of that child must not take for its own.
const NOT_FOR_CHILDREN: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// How this program was started, to start it once more.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// Why no new process has taken this one's place, which goes on as before.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum NotUpgraded {
    #[error("this gateway was not started as a program of its own")]
    NoProgram,
    #[error(
        "this gateway is process 1 of its container, which ends when that process does: start a container with the new \
         version instead"
    )]
    FirstProcess,
    #[error("another upgrade is under way")]
    UnderWay,
    #[error("the gateway is being stopped")]
    Stopping,
    #[error("the listening sockets cannot be passed on: {source}")]
    NoSockets { source: io::Error },
    #[error("{} cannot be started: {source}", path.display())]
    NotStarted { path: PathBuf, source: io::Error },
    #[error("the new process cannot serve: {}", .0.join("; "))]
    CannotServe(Vec<String>),
    #[error("the new process ended before it was ready ({0}); what it said is on standard error")]
    Ended(String),
    #[error("the new process was not ready within {} s", TO_PREPARE.as_secs())]
    TooSlow,
    #[error("the session store did not come to rest: {0}")]
    Store(StoreError),
    #[error("the new process had the session store and did not serve, so that it was taken back: {0}")]
    TakenBack(Box<NotUpgraded>),
    #[error("the new process did not serve within {} s", TO_SERVE.as_secs())]
    ServedTooLate,
    #[error("the new process had the session store and did not serve, and the store cannot be taken back: {0}")]
    StoreLost(StoreError),
}

impl NotUpgraded {
    /// The metric label: one of a closed set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NoProgram | Self::FirstProcess => "not_possible",
            Self::UnderWay => "under_way",
            Self::Stopping => "stopping",
            Self::NoSockets { .. } | Self::NotStarted { .. } => "not_started",
            Self::CannotServe(_) => "cannot_serve",
            Self::Ended(_) => "ended",
            Self::TooSlow | Self::ServedTooLate => "too_slow",
            Self::Store(_) => "store",
            Self::TakenBack(_) => "taken_back",
            Self::StoreLost(_) => "store_lost",
        }
    }

    /// Why, one sentence each.
    pub fn sentences(self) -> Vec<String> {
        match self {
            Self::CannotServe(problems) => problems,
            other => vec![other.to_string()],
        }
    }
}

impl Program {
    /// As this process was started: by the path that was given, which may lead to another file by now. To be called before
    /// anything changes the working directory.
    ///
    /// # Errors
    /// When nothing tells how.
    pub fn of_this_process() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let named = arguments.next().map(PathBuf::from).and_then(|name| found(&name));
        let path = named.map_or_else(env::current_exe, Ok)?;
        Ok(Self { path, arguments: arguments.collect() })
    }
}

/// The file that a shell finds by that name. No link is followed: it may lead elsewhere tomorrow.
fn found(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return std::path::absolute(name).ok().filter(|path| path.is_file());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_absolute() && path.is_file())
}

/// A new process that is to take the place of this one. Dropped before [`Successor::set_free`], it is killed.
#[derive(Debug)]
pub(crate) struct Successor {
    process: Process,
    pub line: Line<ToSuccessor, ToPredecessor>,
    /// Becomes true when this process is told to stop.
    stop: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    on_its_own: bool,
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.on_its_own {
            // It may have ended already.
            let _ = self.child.start_kill();
        }
    }
}

impl Successor {
    /// Starts `program` with these sockets.
    pub fn start(
        program: &Program,
        sockets: Vec<(String, OwnedFd)>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, NotUpgraded> {
        if std::process::id() == 1 {
            return Err(NotUpgraded::FirstProcess);
        }
        let started = || {
            let (ours, theirs) = UnixStream::pair()?;
            let (names, sockets): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
            let borrowed: Vec<_> = sockets.iter().map(OwnedFd::as_fd).collect();
            // It waits there until the new process reads it.
            send_with(&ours, &Welcome { protocol: PROTOCOL, sockets: names }, &borrowed)?;
            let mut command = Command::new(&program.path);
            command.args(&program.arguments).stdin(Stdio::from(OwnedFd::from(theirs)));
            command.env(TAKES_OVER_FROM, std::process::id().to_string());
            for name in NOT_FOR_CHILDREN {
                command.env_remove(name);
            }
            Ok((command.spawn()?, Line::over(ours)?))
        };
        let (child, line) =
            started().map_err(|source| NotUpgraded::NotStarted { path: program.path.clone(), source })?;
        Ok(Self { process: Process { child, on_its_own: false }, line, stop })
    }

    /// Its number.
    pub fn number(&self) -> Option<u32> {
        self.process.child.id()
    }

    /// Waits until it is ready but for the store; gives its version.
    pub async fn is_prepared(&mut self) -> Result<String, NotUpgraded> {
        match self.says(TO_PREPARE, NotUpgraded::TooSlow).await? {
            ToPredecessor::Prepared { version, process } if self.number() == Some(process) => Ok(version),
            // What is told to the service manager, and ended where it will not do, has to be the gateway itself.
            ToPredecessor::Prepared { .. } => Err(NotUpgraded::CannotServe(vec![
                "what was started is not the gateway itself: a script in its place has to end with `exec`".to_owned(),
            ])),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits until it accepts connections.
    pub async fn is_serving(&mut self) -> Result<(), NotUpgraded> {
        match self.says(TO_SERVE, NotUpgraded::ServedTooLate).await? {
            ToPredecessor::Serving => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    async fn says(&mut self, within: Duration, too_slow: NotUpgraded) -> Result<ToPredecessor, NotUpgraded> {
        // What was said in time counts, first of all that visitors are served there already.
        let message = tokio::select! {
            biased;
            message = self.line.next() => message,
            () = tokio::time::sleep_until(deadline(within)) => return Err(too_slow),
            _ = self.stop.wait_for(|stop| *stop) => return Err(NotUpgraded::Stopping),
        };
        match message {
            Some(ToPredecessor::CannotServe(problems)) => Err(NotUpgraded::CannotServe(problems)),
            Some(message) => Ok(message),
            None => Err(NotUpgraded::Ended(self.end().await)),
        }
    }

    /// Ends it; it is gone when this returns, with all that it held. How it ended.
    pub async fn end(&mut self) -> String {
        self.line.send(ToSuccessor::Stop);
        let child = &mut self.process.child;
        let ended = match tokio::time::timeout(TO_END, child.wait()).await {
            Ok(ended) => ended,
            Err(_) => {
                let _ = child.start_kill();
                child.wait().await
            }
        };
        ended.map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string())
    }

    /// It serves, and outlives this process.
    pub fn set_free(self) -> Line<ToSuccessor, ToPredecessor> {
        let Self { mut process, line, .. } = self;
        process.on_its_own = true;
        line
    }
}

fn unexpected(message: &ToPredecessor) -> NotUpgraded {
    tracing::debug!(?message, "the new process says something out of turn");
    NotUpgraded::CannotServe(vec!["the new process does not keep to the order of a handover".to_owned()])
}

/// What this process still has to do with the next one.
#[derive(Debug)]
pub(crate) struct LastWords {
    pub line: Line<ToSuccessor, ToPredecessor>,
    /// What exchanges that end here want of the store.
    pub wishes: mpsc::Receiver<Wished>,
    /// Sessions that end here.
    pub news: broadcast::Receiver<(ToldBy, SessionNews)>,
    /// Sign-ins that begin and end here.
    pub sign_ins: mpsc::UnboundedReceiver<HeldSignIn>,
}

/// Passes everything on, both ways, until `done`. When the next process is gone before that, no session is believed here any
/// more, and the store is closed.
pub(crate) async fn last_exchanges(words: LastWords, sessions: Sessions, mut done: watch::Receiver<bool>) {
    let LastWords { mut line, mut wishes, mut news, mut sign_ins } = words;
    let mut waiting: HashMap<u64, oneshot::Sender<Result<Granted, StoreError>>> = HashMap::new();
    let mut numbers = 0_u64..;
    let mut silent = false;
    line.send(ToSuccessor::Alone);
    loop {
        tokio::select! {
            message = line.next() => match message {
                Some(ToPredecessor::Granted { number, granted }) => {
                    if let Some(answer) = waiting.remove(&number) {
                        let _ = answer.send(granted);
                    }
                }
                Some(ToPredecessor::News(told)) => sessions.hears(ToldBy::TheNextOne, told),
                Some(ToPredecessor::Prepared { .. } | ToPredecessor::CannotServe(_) | ToPredecessor::Serving) => {}
                None => {
                    tracing::warn!("the process that took this one's place is gone: nobody is believed to be signed in any more");
                    sessions.trust_none();
                    return;
                }
            },
            Some(Wished { wish, answer }) = wishes.recv() => {
                let number = numbers.next().unwrap_or_default();
                if let Some(answer) = answer {
                    waiting.insert(number, answer);
                }
                // Who is asked for sessions that a logout means has to know of that logout.
                pass_on(&line, &sessions, &mut news);
                line.send(ToSuccessor::Wish { number, wish });
            }
            told = news.recv(), if !silent => match told {
                Ok(told) => tell(&line, told),
                Err(RecvError::Lagged(_)) => tell_again(&line, &sessions),
                Err(RecvError::Closed) => silent = true,
            },
            Some(held) = sign_ins.recv() => line.send(ToSuccessor::SignIn(held)),
            _ = done.wait_for(|done| *done) => break,
        }
    }
    pass_on(&line, &sessions, &mut news);
    while let Ok(held) = sign_ins.try_recv() {
        line.send(ToSuccessor::SignIn(held));
    }
    line.hang_up().await;
}

/// Tells the next process all that was told here so far.
fn pass_on(
    line: &Line<ToSuccessor, ToPredecessor>,
    sessions: &Sessions,
    news: &mut broadcast::Receiver<(ToldBy, SessionNews)>,
) {
    loop {
        match news.try_recv() {
            Ok(told) => tell(line, told),
            Err(TryRecvError::Lagged(_)) => tell_again(line, sessions),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}

fn tell(line: &Line<ToSuccessor, ToPredecessor>, (by, told): (ToldBy, SessionNews)) {
    if by != ToldBy::TheNextOne {
        line.send(ToSuccessor::News(told));
    }
}

/// There was more than could wait: all that is still known is told once more.
fn tell_again(line: &Line<ToSuccessor, ToPredecessor>, sessions: &Sessions) {
    for told in sessions.told_lately() {
        line.send(ToSuccessor::News(told));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_it_was_started() {
        assert_eq!(found(Path::new("sh")).unwrap().file_name().unwrap(), "sh");
        assert_eq!(found(Path::new("no-such-program-anywhere")), None);
        let folder = tempfile::tempdir().unwrap();
        let (version, link) = (folder.path().join("v1"), folder.path().join("current"));
        std::fs::write(&version, "").unwrap();
        std::os::unix::fs::symlink(&version, &link).unwrap();
        assert_eq!(found(&link), Some(link.clone()), "the link itself: it may lead elsewhere by then");
        assert_eq!(found(&folder.path().join("v2")), None);
    }
}
