//! `vestibule check` and `vestibule schema`.

use std::path::Path;
use std::process::ExitCode;

use crate::config;

/// Prints what the configuration means, or every fault.
pub fn check(path: &Path) -> ExitCode {
    match config::load(path, &config::ProcessEnvironment) {
        Ok(config) => {
            println!("{}", config.summary());
            ExitCode::SUCCESS
        }
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the JSON Schema.
pub fn schema() -> ExitCode {
    match serde_json::to_string_pretty(&config::json_schema()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => super::fail(&error),
    }
}
