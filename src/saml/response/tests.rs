mod conditions;
mod differential;
mod encryption;
mod fixtures;
mod fuzz;
mod honest;
mod mellon;
mod messages;
mod resources;
mod signatures;
mod wrapping;

use super::{Expected, VerifiedResponse, verify_xml};
use crate::saml::rejected::SamlRejected;
use crate::saml::test_signer::{self, EVIL};

/// What is said of a message that answers our request, here and now.
fn verify(message: &str) -> Result<VerifiedResponse, SamlRejected> {
    verify_as(message, |_| {})
}

/// The same when something else is expected.
fn verify_as(message: &str, change: impl FnOnce(&mut Expected<'_>)) -> Result<VerifiedResponse, SamlRejected> {
    let (keys, decryption_keys) = (test_signer::keys(), test_signer::decryption_keys());
    let mut expected = test_signer::expected(&keys, &decryption_keys);
    change(&mut expected);
    verify_xml(message.as_bytes(), &expected)
}

/// The NameID of a message that has to be believed.
#[track_caller]
fn accepted(message: &str) -> String {
    match verify(message) {
        Ok(response) => response.name_id.value,
        Err(rejected) => panic!("rejected, {rejected}\n{message}"),
    }
}

/// Demands that a message is refused for that reason.
#[track_caller]
fn refused(message: &str, reason: &str) {
    refused_as(message, reason, |_| {});
}

/// The same when something else is expected.
#[track_caller]
fn refused_as(message: &str, reason: &str, change: impl FnOnce(&mut Expected<'_>)) {
    match verify_as(message, change) {
        Ok(response) => {
            assert_ne!(response.name_id.value, EVIL, "the attacker is believed\n{message}");
            panic!("believed, but should be {reason}\n{message}");
        }
        Err(rejected) => assert_eq!(rejected.reason(), reason, "{rejected}\n{message}"),
    }
}
