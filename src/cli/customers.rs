//! `vestibule customers`: by itself while no gateway runs, else through the running one.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use zeroize::Zeroizing;

use super::running_gateway;
use crate::app::{self, StartFailed};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::customer::SyncOutcome;
use crate::email::EmailAddress;
use crate::operator::{ImportRow, Imported, LARGEST, OperatorKeys, Order, Report, read_rows, write_rows};
use crate::portal::HostName;
use crate::random::Random;
use crate::session::StoreError;

/// `vestibule customers sync`.
pub fn sync(path: &Path, dry_run: bool) -> ExitCode {
    match ordered(path, &Order::Sync { dry_run }, &[]) {
        Ok(Report::Synced(portals)) => {
            let failed = portals.iter().flat_map(|portal| &portal.people).any(|person| person.failed.is_some());
            for portal in &portals {
                print(portal, dry_run);
            }
            if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Ok(Report::Failed(why)) => super::fail(&*Box::<dyn std::error::Error>::from(why)),
        Ok(Report::Released(_) | Report::Imported(_)) => ExitCode::FAILURE,
        Err(code) => code,
    }
}

/// `vestibule customers release`.
pub fn release(path: &Path, email: &str) -> ExitCode {
    let email = match EmailAddress::parse(email) {
        Ok(email) => email,
        Err(error) => return super::fail(&error),
    };
    match ordered(path, &Order::Release(email.clone()), &[]) {
        Ok(Report::Released(0)) => {
            super::fail(&*Box::<dyn std::error::Error>::from(format!("nobody is known by {email}")))
        }
        Ok(Report::Released(count)) => {
            println!("{email}: {count} released; whoever proves this address next gets the account");
            ExitCode::SUCCESS
        }
        Ok(Report::Failed(why)) => super::fail(&*Box::<dyn std::error::Error>::from(why)),
        Ok(Report::Synced(_) | Report::Imported(_)) => ExitCode::FAILURE,
        Err(code) => code,
    }
}

/// `vestibule customers import`.
pub fn import(path: &Path, file: &Path, portal: Option<&str>, prove: bool) -> ExitCode {
    let portal = match portal.map(HostName::parse).transpose() {
        Ok(portal) => portal,
        Err(error) => return super::fail(&error),
    };
    let text = match text_of(file) {
        Ok(text) => text,
        Err(error) => return super::fail(&error),
    };
    let rows = match read_rows(&text) {
        Ok(rows) => rows,
        Err(faults) => {
            for fault in faults {
                eprintln!("vestibule: {fault}");
            }
            return ExitCode::FAILURE;
        }
    };
    match ordered(path, &Order::Import { portal, prove }, &rows) {
        Ok(Report::Imported(imported)) => {
            for Imported { email, result } in &imported {
                println!("{email}: {result}");
            }
            if imported.iter().all(|one| one.result.is_done()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Ok(Report::Failed(why)) => super::fail(&*Box::<dyn std::error::Error>::from(why)),
        Ok(Report::Synced(_) | Report::Released(_)) => ExitCode::FAILURE,
        Err(code) => code,
    }
}

/// The rows of a file, or of standard input. Wiped when dropped.
fn text_of(file: &Path) -> std::io::Result<Zeroizing<String>> {
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
    if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?.take(most).read_to_string(&mut text)?;
    }
    if text.len() > LARGEST {
        return Err(std::io::Error::other(format!("more than {LARGEST} bytes: import it in parts")));
    }
    Ok(text)
}

fn print(portal: &SyncOutcome, dry_run: bool) {
    let change = if dry_run { "would change" } else { "changed" };
    println!("{}: {} people known, {} {change}", portal.portal, portal.known, portal.people.len());
    if portal.unreadable > 0 {
        println!("  {} records open with no configured key", portal.unreadable);
    }
    for person in &portal.people {
        println!("  {} ({})", person.email, person.provider);
        for planned in &person.changes {
            println!("    {planned}");
        }
        if let Some(failed) = &person.failed {
            println!("    failed: {failed}");
        }
    }
}

fn ordered(path: &Path, order: &Order, rows: &[ImportRow]) -> Result<Report, ExitCode> {
    let config = config::load(path, &config::ProcessEnvironment).map_err(|faults| {
        eprintln!("{faults}");
        ExitCode::FAILURE
    })?;
    let runtime = super::runtime().map_err(|error| super::fail(&error))?;
    runtime.block_on(async {
        match app::operator(&config, Clock::System, Random::default()) {
            Ok((operator, sessions)) => {
                let report = operator.carry_out(order, rows).await;
                sessions.close().await.map_err(|error| super::fail(&error))?;
                Ok(report)
            }
            Err(StartFailed::Store(StoreError::InUse { .. })) => through_gateway(&config, order, rows)
                .await
                .map_err(|error| super::fail(&*Box::<dyn std::error::Error>::from(error))),
            Err(error) => Err(super::fail(&error)),
        }
    })
}

async fn through_gateway(config: &Config, order: &Order, rows: &[ImportRow]) -> Result<Report, String> {
    let target = order.target();
    let brought = |keys: &OperatorKeys| match order.brings_rows() {
        true => keys.seal(&target, &write_rows(rows), &Random::default()).map(Some),
        false => Some(None),
    };
    let answer = running_gateway::order(config, &target, brought).await.map_err(|error| error.to_string())?;
    answer.json().map_err(|_| "the running gateway's report cannot be read".to_owned())
}
