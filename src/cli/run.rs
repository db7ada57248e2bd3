//! `vestibule run`.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::service_manager;
use crate::app::{App, ConfigSource, HandedOver, Outside, Prepared, StartFailed, UpgradeOrder};
use crate::clock::Clock;
use crate::config::{self, Config, Faults};
use crate::handover::{Inheritance, NotUpgraded, Program, Received, ToPredecessor, lend};
use crate::listener::Inherited;
use crate::operator::Upgraded;
use crate::random::Random;
use crate::telemetry::log;

/// The file that `run` was given.
struct FromFile(PathBuf);

impl ConfigSource for FromFile {
    fn read(&self) -> Result<Config, Faults> {
        config::load(&self.0, &config::ProcessEnvironment)
    }

    fn begins(&self) {
        service_manager::is_reloading();
    }

    fn ends(&self) {
        service_manager::is_ready();
    }
}

/// What this process has from whoever started it.
struct Given {
    sockets: Inherited,
    /// From the process whose place it takes, if there is one.
    before: Option<Inheritance>,
}

impl Given {
    /// To be called before there is a second thread.
    fn find() -> Result<Self, Box<dyn std::error::Error>> {
        match Inheritance::find()? {
            Some(mut before) => {
                Ok(Self { sockets: Inherited::from_predecessor(before.take_sockets())?, before: Some(before) })
            }
            None => Ok(Self { sockets: Inherited::from_service_manager()?, before: None }),
        }
    }
}

/// Serves until told to stop, or until another process has taken over.
pub fn run(path: &Path) -> ExitCode {
    let program = Program::of_this_process();
    let given = match Given::find() {
        Ok(given) => given,
        Err(error) => return super::fail(&*error),
    };
    let config = match config::load(path, &config::ProcessEnvironment) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            if let Some(before) = given.before {
                before.refuse(faults.to_string().lines().map(str::to_owned).collect());
            }
            return ExitCode::FAILURE;
        }
    };
    let _flushed = log::start(&config.log);
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return super::fail(&error),
    };
    let program = program.inspect_err(|error| tracing::warn!(%error, "this process cannot be upgraded")).ok();
    runtime.block_on(serve(config, FromFile(path.to_owned()), given, program))
}

/// What a process that is to take over comes to.
enum Start {
    Serves(Box<App>),
    /// The process before goes on by itself.
    NotWanted,
}

async fn serve(config: Config, file: FromFile, given: Given, program: Option<Program>) -> ExitCode {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return super::fail(&error),
    };
    let portals: Vec<(String, String)> =
        config.portals.iter().map(|portal| (portal.host.to_string(), portal.upstream.url.to_string())).collect();
    let app = match start(config, given).await {
        Ok(Start::Serves(app)) => *app,
        Ok(Start::NotWanted) => return ExitCode::FAILURE,
        Err(error) => return super::fail(&error),
    };
    log::report_to(app.metrics());
    tracing::info!(address = %app.https_address(), "listening for https");
    if let Some(address) = app.http_address() {
        tracing::info!(%address, "listening for http, redirecting to https");
    }
    if let Some(address) = app.admin_address() {
        tracing::info!(%address, "listening for /metrics, /healthz and /readyz");
    }
    for (host, upstream) in portals {
        tracing::info!(host, upstream, "serving portal");
    }
    app.reads_again_from(Arc::new(file));
    let watchdog = tokio::spawn(service_manager::keep_watchdog_quiet());
    match until_the_end(&app, &mut signals, program.as_ref()).await {
        End::Told => stop(app, &mut signals).await,
        End::HandedOver(handed_over, order) => end_handed_over(app, &mut signals, *handed_over, order, &watchdog).await,
        End::StoreLost => {
            stop(app, &mut signals).await;
            ExitCode::FAILURE
        }
    }
}

/// Starts to serve: at once, or when the process before has let go of what only one can have.
async fn start(config: Config, Given { sockets, before }: Given) -> Result<Start, StartFailed> {
    let prepared = Prepared::new(config, sockets, Outside::of_the_system(Clock::System, Random::default())).await;
    let Some(before) = before else {
        let prepared = prepared?;
        let store = prepared.open_store().await?;
        let app = prepared.serve(store).await?;
        tokio::spawn(app.sealing_anew());
        service_manager::is_ready();
        return Ok(Start::Serves(Box::new(app)));
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            before.refuse(vec![error.to_string()]);
            return Err(error);
        }
    };
    let (received, line) = before.prepared(prepared.take_over()).await?;
    let (begun, news) = (prepared.take_over(), prepared.sessions().news());
    let (alone, store) = match received {
        Received::Yours(carried_over) => {
            prepared.sessions().carry_on(carried_over);
            (false, prepared.open_store().await)
        }
        Received::Orphaned => {
            tracing::warn!("the process before has died in the middle of the handover: this one serves in its place");
            (true, prepared.open_left_store().await)
        }
        Received::NotWanted => return Ok(Start::NotWanted),
    };
    let served = match store {
        Ok(store) => prepared.serve(store).await,
        Err(error) => Err(error.into()),
    };
    let mut app = match served {
        Ok(app) => app,
        Err(error) => {
            line.send(ToPredecessor::CannotServe(vec![error.to_string()]));
            line.hang_up().await;
            return Err(error);
        }
    };
    if alone {
        app.took_over(None);
        tokio::spawn(app.sealing_anew());
        service_manager::is_ready();
    } else {
        let (sessions, sealing_anew) = (app.sessions().clone(), app.sealing_anew());
        let lending = lend(line, (sessions, news), service_manager::is_ready, begun);
        app.took_over(Some(tokio::spawn(async move {
            lending.await;
            tokio::spawn(sealing_anew);
        })));
    }
    Ok(Start::Serves(Box::new(app)))
}

/// Why a process that serves ends.
enum End {
    /// It was told to.
    Told,
    /// Another one serves; whoever ordered that waits for the answer.
    HandedOver(Box<HandedOver>, Option<UpgradeOrder>),
    /// No other one serves, and this one has no session store any more.
    StoreLost,
}

type Upgrading<'a> = Pin<Box<dyn Future<Output = (Result<HandedOver, NotUpgraded>, Option<UpgradeOrder>)> + 'a>>;

async fn until_the_end(app: &App, signals: &mut Signals, program: Option<&Program>) -> End {
    // One at a time: a second order finds no room.
    let Signals { hangup, upgrade, terminate, interrupt } = signals;
    let (ordering, mut orders) = mpsc::channel(1);
    app.is_upgraded_by(ordering);
    let (stop, stopped) = watch::channel(false);
    let mut upgrading: Option<Upgrading<'_>> = None;
    let begin = |order: Option<UpgradeOrder>| -> Upgrading<'_> {
        let stopped = stopped.clone();
        Box::pin(async move {
            match program {
                Some(program) => (app.hand_over(program, stopped).await, order),
                None => (Err(NotUpgraded::NoProgram), order),
            }
        })
    };
    loop {
        let outcome = async {
            match &mut upgrading {
                Some(upgrading) => upgrading.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait(terminate, interrupt) => {
                stop.send_replace(true);
                break;
            }
            Some(()) = hangup.recv() => drop(tokio::spawn(app.reload())),
            Some(()) = upgrade.recv() => match upgrading {
                None => upgrading = Some(begin(None)),
                Some(_) => drop(app.not_upgraded(NotUpgraded::UnderWay)),
            },
            Some(order) = orders.recv() => match upgrading {
                None => upgrading = Some(begin(Some(order))),
                Some(_) => refuse(app, NotUpgraded::UnderWay, Some(order)),
            },
            (outcome, order) = outcome => {
                upgrading = None;
                match outcome {
                    Ok(handed_over) => return End::HandedOver(Box::new(handed_over), order),
                    Err(lost @ NotUpgraded::StoreLost(_)) => {
                        refuse(app, lost, order);
                        return End::StoreLost;
                    }
                    Err(why) => refuse(app, why, order),
                }
            }
        }
    }
    // A handover that is under way is called off; where it was through already, the other process serves.
    match upgrading {
        None => End::Told,
        Some(upgrading) => match upgrading.await {
            (Ok(handed_over), order) => End::HandedOver(Box::new(handed_over), order),
            (Err(why), order) => {
                refuse(app, why, order);
                End::Told
            }
        },
    }
}

/// Tells why no other process has taken over.
fn refuse(app: &App, why: NotUpgraded, order: Option<UpgradeOrder>) {
    let refused = app.not_upgraded(why);
    if let Some(UpgradeOrder(answer)) = order {
        let _ = answer.send(refused);
    }
}

async fn stop(app: App, signals: &mut Signals) -> ExitCode {
    tracing::info!("draining");
    service_manager::is_stopping();
    let drained = tokio::select! {
        drained = app.drain() => drained,
        // Asked twice: at once.
        () = signals.told_to_stop() => false,
    };
    tracing::info!(all_finished = drained, "stopped");
    ExitCode::SUCCESS
}

async fn end_handed_over(
    app: App,
    signals: &mut Signals,
    handed_over: HandedOver,
    order: Option<UpgradeOrder>,
    watchdog: &JoinHandle<()>,
) -> ExitCode {
    watchdog.abort();
    service_manager::main_process_is(handed_over.number());
    if let Some(UpgradeOrder(answer)) = order {
        let (process, version) = (handed_over.number(), handed_over.version().to_owned());
        let _ = answer.send(Upgraded::Done { process, version });
    }
    tracing::info!("draining: another process serves");
    let draining = app.drain_handed_over(handed_over);
    tokio::pin!(draining);
    let drained = tokio::select! {
        drained = &mut draining => drained,
        // Told with all others of the service, or by somebody who means it: what is under way may end.
        () = signals.told_to_stop() => tokio::select! {
            drained = &mut draining => drained,
            () = signals.told_to_stop() => false,
        },
    };
    tracing::info!(all_finished = drained, "stopped");
    ExitCode::SUCCESS
}

/// The signals that mean something.
struct Signals {
    hangup: Signal,
    upgrade: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            upgrade: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn told_to_stop(&mut self) {
        wait(&mut self.terminate, &mut self.interrupt).await;
    }
}

async fn wait(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
