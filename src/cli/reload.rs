//! `vestibule reload`.

use std::path::Path;
use std::process::ExitCode;

use super::running_gateway;
use crate::config;
use crate::operator::{RELOAD, Reloaded};

/// Has the running gateway read its configuration again, and tells what came of it.
pub fn reload(path: &Path) -> ExitCode {
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
    let answer = match runtime.block_on(running_gateway::order(&config, RELOAD, |_| Some(None))) {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("vestibule: {error}");
            eprintln!("(listen.admin and keys have to be those that the gateway was started with)");
            return ExitCode::FAILURE;
        }
    };
    match answer.json::<Reloaded>() {
        Ok(Reloaded::Applied { number, changes }) if changes.is_empty() => {
            println!("configuration {number} stays in force: nothing has changed");
            ExitCode::SUCCESS
        }
        Ok(Reloaded::Applied { number, changes }) => {
            changes.iter().for_each(|change| println!("{change}"));
            println!("configuration {number} is in force");
            ExitCode::SUCCESS
        }
        Ok(Reloaded::Refused { problems, .. }) => {
            problems.iter().for_each(|problem| eprintln!("vestibule: {problem}"));
            eprintln!("vestibule: the configuration before stays in force");
            ExitCode::FAILURE
        }
        Err(_) => super::fail(&*Box::<dyn std::error::Error>::from("the running gateway's answer cannot be read")),
    }
}
