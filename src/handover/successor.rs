//! The new process's side.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc};

use super::line::{receive_with, send_with};
use super::{Line, PROTOCOL, ToPredecessor, ToSuccessor, Welcome};
use crate::session::{CarriedOver, SessionNews, Sessions, ToldBy, ToldLogout};
use crate::sign_in::under_way::HeldSignIn;

/// Tells a process that its standard input is the line to the one whose place it takes: the number of that process, which has
/// to have made the line, so that whoever else inherits the variable is not meant.
pub(super) const TAKES_OVER_FROM: &str = "VESTIBULE_TAKES_OVER_FROM";

/// How long the first word may take.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// What the process before has given, and the line to it.
#[derive(Debug)]
pub struct Inheritance {
    stream: UnixStream,
    sockets: Vec<(String, OwnedFd)>,
}

/// The process was started to take another one's place, and cannot.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum NoInheritance {
    #[error("the process whose place this one is to take cannot be understood: {0}")]
    Line(#[from] io::Error),
    #[error(
        "the process whose place this one is to take speaks version {theirs} of the handover, and this one {PROTOCOL}: restart instead"
    )]
    OtherProtocol { theirs: u32 },
}

/// What to do after the new process has said that it is prepared.
#[derive(Debug)]
pub(crate) enum Received {
    /// The store is free: its file was closed in order.
    Yours(CarriedOver),
    /// The process before has died: its place is free, whatever it had in memory.
    Orphaned,
    /// It goes on by itself.
    NotWanted,
}

impl Inheritance {
    /// What the process before has given; `None` for a process that was started by anybody else. To be called once, before
    /// there is a second thread. Standard input is empty afterwards.
    ///
    /// # Errors
    /// When the two do not understand each other. The one before has been told.
    pub fn find() -> Result<Option<Self>, NoInheritance> {
        let named = std::env::var(TAKES_OVER_FROM).ok().and_then(|number| number.parse::<i32>().ok());
        // Also of a process that has died since.
        let made_by = socket_peercred(io::stdin()).ok().map(|made_by| made_by.pid.as_raw_pid());
        if named.is_none() || named != made_by {
            return Ok(None);
        }
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?).map_err(io::Error::from)?;
        stream.set_read_timeout(Some(FIRST_WORD))?;
        let (Welcome { protocol, sockets: names }, sockets) = receive_with(&stream)?;
        stream.set_read_timeout(None)?;
        let inheritance = Self { stream, sockets: names.into_iter().zip(sockets).collect() };
        if protocol != PROTOCOL {
            let other = NoInheritance::OtherProtocol { theirs: protocol };
            inheritance.refuse(vec![other.to_string()]);
            return Err(other);
        }
        Ok(Some(inheritance))
    }

    /// The listening sockets, each with the name of its listener.
    pub fn take_sockets(&mut self) -> Vec<(String, OwnedFd)> {
        std::mem::take(&mut self.sockets)
    }

    /// Tells why this process cannot take the place; it is to end then.
    pub fn refuse(&self, problems: Vec<String>) {
        // Where nobody listens, nobody has to know.
        let _ = send_with(&self.stream, &ToPredecessor::CannotServe(problems), &[]);
    }

    /// Says that everything is ready but the store, and waits for that. `begun` takes the sign-ins that are under way.
    pub(crate) async fn prepared(
        self,
        begun: impl Fn(HeldSignIn),
    ) -> io::Result<(Received, Line<ToPredecessor, ToSuccessor>)> {
        let mut line = Line::over(self.stream)?;
        line.send(ToPredecessor::Prepared {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
        });
        let received = loop {
            match line.next().await {
                Some(ToSuccessor::SignIn(held)) => begun(held),
                Some(ToSuccessor::Yours(carried_over)) => break Received::Yours(carried_over),
                Some(ToSuccessor::Stop) => break Received::NotWanted,
                Some(ToSuccessor::Alone | ToSuccessor::News(_) | ToSuccessor::Wish { .. }) => {}
                None => break Received::Orphaned,
            }
        };
        Ok((received, line))
    }
}

/// Serves, beside visitors, the process before: with the store and with news, until it has ended. `news` are those since the
/// first visitor. `alone` is called when this process is the only one that accepts connections; `begun` takes the sign-ins that are under way.
pub(crate) async fn lend(
    mut line: Line<ToPredecessor, ToSuccessor>,
    (sessions, mut news): (Sessions, broadcast::Receiver<(ToldBy, SessionNews)>),
    alone: impl Fn(),
    begun: impl Fn(HeldSignIn),
) {
    line.send(ToPredecessor::Serving);
    let (granting, mut grants) = mpsc::unbounded_channel();
    let mut is_alone = false;
    loop {
        tokio::select! {
            message = line.next() => match message {
                Some(ToSuccessor::Wish { number, wish }) => {
                    let (sessions, granting) = (sessions.clone(), granting.clone());
                    tokio::spawn(async move {
                        let granted = sessions.grant(wish).await;
                        let _ = granting.send(ToPredecessor::Granted { number, granted });
                    });
                }
                Some(ToSuccessor::News(told)) => {
                    sessions.hears(ToldBy::TheOneBefore, told.clone());
                    if let SessionNews::LoggedOut(told) = told {
                        tokio::spawn(carry_out(sessions.clone(), told));
                    }
                }
                Some(ToSuccessor::SignIn(held)) => begun(held),
                Some(ToSuccessor::Alone) => {
                    is_alone = true;
                    alone();
                }
                Some(ToSuccessor::Yours(_) | ToSuccessor::Stop) => {}
                None => break,
            },
            Some(granted) = grants.recv() => {
                // What the store answers may be older than a logout that was told meanwhile: that has to be known there first.
                loop {
                    match news.try_recv() {
                        Ok(told) => tell(&line, told),
                        Err(TryRecvError::Lagged(_)) => tell_lagged(&line),
                        Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                    }
                }
                line.send(granted);
            }
            told = news.recv() => match told {
                Ok(told) => tell(&line, told),
                Err(RecvError::Lagged(_)) => tell_lagged(&line),
                Err(RecvError::Closed) => break,
            },
        }
    }
    tracing::info!("the process before has ended");
    if !is_alone {
        // It died before it could say so.
        alone();
    }
}

/// The process before finds sessions by its own keys: one that this process has sealed with a key that is new is not among
/// them.
async fn carry_out(sessions: Sessions, told: ToldLogout) {
    if let Err(error) = sessions.carry_out(&told).await {
        tracing::error!(%error, "a logout that the process before was told of was not carried out here as a whole");
    }
}

fn tell(line: &Line<ToPredecessor, ToSuccessor>, (by, told): (ToldBy, SessionNews)) {
    if by != ToldBy::TheOneBefore {
        line.send(ToPredecessor::News(told));
    }
}

fn tell_lagged(line: &Line<ToPredecessor, ToSuccessor>) {
    line.send(ToPredecessor::News(SessionNews::AnyMayHaveEnded));
}
