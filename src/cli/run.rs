//! `vestibule run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::service_manager;
use crate::app::{App, ConfigSource};
use crate::clock::Clock;
use crate::config::{self, Config, Faults};
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

/// Serves until told to stop.
pub fn run(path: &Path) -> ExitCode {
    let config = match config::load(path, &config::ProcessEnvironment) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::FAILURE;
        }
    };
    let _flushed = log::start(&config.log);
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return super::fail(&error),
    };
    runtime.block_on(serve(config, FromFile(path.to_owned())))
}

async fn serve(config: Config, file: FromFile) -> ExitCode {
    let (hangup, terminate, interrupt) =
        (signal(SignalKind::hangup()), signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (mut hangup, mut terminate, mut interrupt) = match (hangup, terminate, interrupt) {
        (Ok(hangup), Ok(terminate), Ok(interrupt)) => (hangup, terminate, interrupt),
        (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => return super::fail(&error),
    };
    let portals: Vec<(String, String)> =
        config.portals.iter().map(|portal| (portal.host.to_string(), portal.upstream.url.to_string())).collect();
    let app = match App::start(config, Clock::System, Random::default()).await {
        Ok(app) => app,
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
    service_manager::is_ready();
    tokio::spawn(service_manager::keep_watchdog_quiet());
    loop {
        tokio::select! {
            () = wait(&mut terminate, &mut interrupt) => break,
            Some(()) = hangup.recv() => drop(tokio::spawn(app.reload())),
        }
    }
    tracing::info!("draining");
    service_manager::is_stopping();
    let drained = tokio::select! {
        drained = app.drain() => drained,
        // Asked twice: at once.
        () = wait(&mut terminate, &mut interrupt) => false,
    };
    tracing::info!(all_finished = drained, "stopped");
    ExitCode::SUCCESS
}

async fn wait(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
