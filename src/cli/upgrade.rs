//! `vestibule upgrade`.

use std::path::Path;
use std::process::ExitCode;

use super::running_gateway::{self, NotOrdered};
use crate::config::{self, Config};
use crate::http_client::Answer;
use crate::operator::{UPGRADE, Upgraded};

/// Proves the order with one key after the other: the running gateway may not know the first one yet, which is then what the
/// upgrade is for.
async fn order(mut config: Config) -> Result<Answer, NotOrdered> {
    let mut keys = std::mem::take(&mut config.session.keys).into_iter();
    loop {
        config.session.keys = keys.next().into_iter().collect();
        match running_gateway::order(&config, UPGRADE, |_| Some(None)).await {
            Err(NotOrdered::Refused(_)) if keys.len() > 0 => {}
            answered => return answered,
        }
    }
}

/// Has a new process take the running gateway's place, and tells what came of it.
pub fn upgrade(path: &Path) -> ExitCode {
    // Faults are told here already; and where the gateway is to be found is in the file.
    let config = match config::load(path, &config::ProcessEnvironment) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return super::fail(&error),
    };
    let answer = match runtime.block_on(order(config)) {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("vestibule: {error}");
            eprintln!(
                "(listen.admin and keys have to be those that the gateway was started with; else send it SIGUSR2)"
            );
            return ExitCode::FAILURE;
        }
    };
    match answer.json::<Upgraded>() {
        Ok(Upgraded::Done { process, version }) => {
            println!("version {version} serves, as process {process}");
            ExitCode::SUCCESS
        }
        Ok(Upgraded::Refused { problems, .. }) => {
            problems.iter().for_each(|problem| eprintln!("vestibule: {problem}"));
            eprintln!("vestibule: the process before serves on");
            ExitCode::FAILURE
        }
        Err(_) => super::fail(&*Box::<dyn std::error::Error>::from("the running gateway's answer cannot be read")),
    }
}
