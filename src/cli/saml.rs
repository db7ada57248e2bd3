//! `vestibule saml verify`: what the live service would say of one response, as one JSON object.
//!
//! Whatever it is given, it prints that object and exits with 0 or 1: unreadable files and metadata are reasons like any other.

use std::io::{Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::clock::{Clock, Timestamp};
use crate::saml::instant;
use crate::saml::keys::{DecryptionKey, VerificationKeys};
use crate::saml::mapping::Mapping;
use crate::saml::metadata::{self, IdentityProvider, MetadataRefused, Reading};
use crate::saml::rejected::SamlRejected;
use crate::saml::response::{self, Expected, InResponseTo, Signed, VerifiedResponse};
use crate::saml::signature::SignaturePolicy;
use crate::secret::{Secret, Source};

/// The largest file of metadata, or of a key, that is read.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;

/// Options of `vestibule saml verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArguments {
    /// The identity provider's metadata: an EntityDescriptor, or an EntitiesDescriptor that holds the response's issuer.
    #[arg(long, value_name = "FILE")]
    metadata: PathBuf,
    /// Our entity id: the audience that the assertion has to name.
    #[arg(long, value_name = "ID")]
    entity_id: String,
    /// Our assertion consumer URL: the Destination and Recipient that the response has to name, octet by octet.
    #[arg(long, value_name = "URL")]
    acs: String,
    /// Our private key (RSA, PEM), when the provider encrypts. May be given twice while keys are changed.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// The ID of the request that the response has to answer. Without it, the InResponseTo of the Response is taken for it,
    /// and the assertion has to answer the same; a response that names none has to be unsolicited throughout.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// The moment to verify at, such as 2026-01-31T12:00:00Z; now, when not given.
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// Believe signatures with SHA-1 too, which is broken.
    #[arg(long)]
    legacy_sha1: bool,
    /// The response, as XML or in base64 as a browser posts it; - reads standard input.
    #[arg(value_name = "RESPONSE")]
    response: PathBuf,
}

/// Why there is no verdict on the response itself, or a verdict against it.
struct Refused {
    reason: &'static str,
    sentence: String,
}

/// Verifies and prints.
pub fn verify(arguments: &VerifyArguments) -> ExitCode {
    let verdict = catch_unwind(AssertUnwindSafe(|| judge(arguments)));
    let verdict =
        verdict.unwrap_or_else(|_| refuse("internal", "The verifier itself failed; please report this response."));
    print(verdict)
}

/// Prints the refusal of a command line that could not be read.
pub fn unreadable_arguments(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let sentence = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    print(refuse("arguments", sentence))
}

fn print(verdict: Result<Value, Refused>) -> ExitCode {
    let (object, code) = match verdict {
        Ok(accepted) => (accepted, ExitCode::SUCCESS),
        Err(Refused { reason, sentence }) => {
            let rejected = json!({ "accepted": false, "rejected": { "reason": reason, "sentence": sentence } });
            (rejected, ExitCode::FAILURE)
        }
    };
    // Nobody may be reading: that changes no verdict.
    let _ = writeln!(std::io::stdout().lock(), "{object:#}");
    code
}

fn judge(arguments: &VerifyArguments) -> Result<Value, Refused> {
    let now = match &arguments.now {
        Some(text) => {
            moment(text).map_or_else(|| refuse("arguments", "--now is not a time like 2026-01-31T12:00:00Z."), Ok)?
        }
        None => Clock::System.now(),
    };
    let message = read(&arguments.response, Expected::LARGEST_MESSAGE.saturating_mul(2).try_into().unwrap_or(u64::MAX))
        .or_else(|error| refuse("response_unreadable", format!("The response cannot be read: {error}.")))?;
    let rejected = |rejected: SamlRejected| Refused { reason: rejected.reason(), sentence: rejected.sentence() };
    let is_xml = looks_like_xml(&message);
    let unverified = if is_xml {
        response::peek_xml(&message, Expected::LARGEST_MESSAGE)
    } else {
        response::peek(&message, Expected::LARGEST_MESSAGE)
    };
    let unverified = unverified.map_err(rejected)?;

    let provider = provider(&arguments.metadata, unverified.issuer.as_deref(), now)?;
    let keys = VerificationKeys::from_certificates(&provider.signing_certificates)
        .or_else(|error| refuse("metadata", format!("The metadata cannot be used: {error}.")))?;
    let decryption_keys = arguments.key.iter().map(|path| private_key(path)).collect::<Result<Vec<_>, _>>()?;
    let answers = arguments.request_id.as_deref().or(unverified.in_response_to.as_deref());
    let expected = Expected {
        decryption_keys: &decryption_keys,
        policy: SignaturePolicy { legacy_sha1: arguments.legacy_sha1 },
        ..Expected::new(
            &provider.entity_id,
            &keys,
            &arguments.entity_id,
            &arguments.acs,
            answers.map_or(InResponseTo::Unsolicited, InResponseTo::Request),
            now,
        )
    };
    let verified =
        if is_xml { response::verify_xml(&message, &expected) } else { response::verify(&message, &expected) };
    Ok(told(&verified.map_err(rejected)?))
}

/// The provider that the metadata describes; among several, the one that the response says it is from.
fn provider(path: &Path, issuer: Option<&str>, now: Timestamp) -> Result<IdentityProvider, Refused> {
    let octets = read(path, LARGEST_FILE)
        .or_else(|error| refuse("metadata_unreadable", format!("The metadata cannot be read: {error}.")))?;
    let found = match metadata::identity_provider(&octets, &Reading { entity_id: None, now }) {
        Err(MetadataRefused::SeveralEntities(_)) => {
            metadata::identity_provider(&octets, &Reading { entity_id: Some(issuer.unwrap_or_default()), now })
        }
        found => found,
    };
    found.or_else(|error| refuse("metadata", format!("The metadata cannot be used: {error}.")))
}

fn private_key(path: &Path) -> Result<DecryptionKey, Refused> {
    let octets = read(path, LARGEST_FILE)
        .or_else(|error| refuse("key_unreadable", format!("The private key cannot be read: {error}.")))?;
    let pem = String::from_utf8_lossy(&octets).into_owned();
    DecryptionKey::from_pem(&Secret::new(pem, Source::File(path.display().to_string())))
        .or_else(|error| refuse("key", format!("The private key cannot be used: {error}.")))
}

fn refuse<T>(reason: &'static str, sentence: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { reason, sentence: sentence.into() })
}

/// Reads a file, or standard input for `-`, up to one octet more than `most`.
fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let most = most.saturating_add(1);
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(most).read_to_end(&mut octets)?;
    } else {
        std::fs::File::open(path)?.take(most).read_to_end(&mut octets)?;
    }
    Ok(octets)
}

/// Base64 never holds a `<`, and XML always begins with one.
fn looks_like_xml(message: &[u8]) -> bool {
    let text = message.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(message);
    text.iter().find(|octet| !octet.is_ascii_whitespace()) == Some(&b'<')
}

/// A time as SAML writes it, or with any offset.
fn moment(text: &str) -> Option<Timestamp> {
    instant::parse(text).or_else(|| {
        let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
        Some(Timestamp::from_millis(time.timestamp_millis()))
    })
}

/// What is believed, for the operator.
fn told(response: &VerifiedResponse) -> Value {
    let name_id = &response.name_id;
    let mapping = Mapping::default();
    let mapped = mapping.apply(response);
    let mut claims: Map<String, Value> = Map::new();
    for attribute in response.attributes.iter() {
        let values = claims.entry(attribute.name.as_str()).or_insert_with(|| json!([]));
        if let Some(values) = values.as_array_mut() {
            values.extend(attribute.values.iter().map(|value| json!(value)));
        }
    }
    let mut subject = json!({
        "name_id": name_id.value,
        "format": name_id.format,
        "name_qualifier": name_id.name_qualifier,
        "sp_name_qualifier": name_id.sp_name_qualifier,
    });
    let account = match &mapped {
        Ok(mapped) => json!(mapped.subject),
        Err(error) => json!({ "none": error.to_string() }),
    };
    if let Some(fields) = subject.as_object_mut() {
        fields.insert("account".to_owned(), account);
    }
    json!({
        "accepted": true,
        "issuer": response.issuer,
        "subject": subject,
        "email": mapping.email(response).map(|email| email.as_str().to_owned()),
        "display_name": mapping.display_name(&response.attributes),
        "groups": mapping.groups(&response.attributes),
        "claims": claims,
        "assertion_id": response.assertion_id,
        "in_response_to": response.in_response_to,
        "session_indexes": response.session_indexes,
        "authenticated_at": response.authn_instant.to_string(),
        "authn_context": response.authn_context,
        "session_not_on_or_after": response.session_not_on_or_after.map(|end| end.to_string()),
        "signed": match response.signed {
            Signed::Response => "response",
            Signed::Assertion => "assertion",
            Signed::Both => "both",
        },
        "encrypted": response.encrypted,
    })
}

#[cfg(test)]
mod tests;
