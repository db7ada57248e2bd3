//! `vestibule keys new`.

use std::process::ExitCode;

use crate::random::Random;

/// What a key starts with, so that it is recognised where it does not belong.
const PREFIX: &str = "vk1_";

/// Prints a new key.
pub fn new() -> ExitCode {
    match Random::default().token() {
        Ok(token) => {
            println!("{PREFIX}{token}");
            ExitCode::SUCCESS
        }
        Err(error) => super::fail(&error),
    }
}
