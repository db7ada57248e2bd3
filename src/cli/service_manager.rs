//! What a service manager (systemd, `Type=notify`) is told: that the gateway serves, that it lives, that it stops. Where none
//! listens, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// The shortest time between two signs of life.
const SHORTEST: Duration = Duration::from_millis(10);

/// The gateway serves. That is a sign of life as well: what a process said before it was the main one was not heard.
pub(super) fn is_ready() {
    tell_alive(NotifyState::Ready);
}

/// The gateway reads its configuration again; [`is_ready`] ends that. The time is that of the same clock as the service
/// manager's own, which waits for it (`Type=notify-reload`).
pub(super) fn is_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager could not be told"),
    }
}

/// Another process serves, and is the one to watch from now on. What this one says afterwards is not heard any more
/// (`NotifyAccess=main`).
pub(super) fn main_process_is(number: u32) {
    // The last sign of life from here gives the other one the whole of its time.
    tell_alive(NotifyState::MainPid(number));
}

/// The gateway drains.
pub(super) fn is_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says at half of the time that the service manager waits for it (`WatchdogSec`) that the program still gets round to its
/// tasks, for ever. To be spawned once.
pub(super) async fn keep_watchdog_quiet() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut every = tokio::time::interval(limit.checked_div(2).unwrap_or(Duration::from_secs(1)).max(SHORTEST));
    loop {
        every.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

/// Tells it in one message with a sign of life, where somebody waits for these.
fn tell_alive(state: NotifyState<'_>) {
    match sd_notify::watchdog_enabled() {
        Some(_) => tell(&[state, NotifyState::Watchdog]),
        None => tell(&[state]),
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
