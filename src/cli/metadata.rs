//! `vestibule metadata`: our SAML metadata, as the gateway serves it; and what a Cloud site needs to know of the gateway as its
//! identity provider.

mod identity_provider;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Config};
use crate::ids::ProviderName;
use crate::portal::HostName;
use crate::random::Random;
use crate::sign_in::saml::OwnMetadata;

/// Options of `vestibule metadata`.
#[derive(Debug, clap::Args)]
pub struct MetadataArguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "gateway.yaml", env = "VESTIBULE_CONFIG")]
    config: PathBuf,
    /// The portal; may be left out when there is one alone.
    #[arg(long, value_name = "HOST")]
    portal: Option<String>,
    /// The SAML provider, as it is called in the configuration; may be left out when there is one alone.
    #[arg(long, value_name = "NAME")]
    #[arg(conflicts_with = "as_identity_provider")]
    provider: Option<String>,
    /// Print what an administrator of a Jira Service Management Cloud site pastes into Atlassian's administration: the gateway
    /// as the identity provider of its customers (`customer_session: cloud_saml`).
    #[arg(long)]
    as_identity_provider: bool,
}

/// None, or several, fit to what was asked for.
#[derive(Debug, thiserror::Error)]
enum NotOne {
    #[error("no portal has such a SAML provider; there are: {0}")]
    None(String),
    #[error("several fit; say which by --portal and --provider: {0}")]
    Several(String),
    #[error("no SAML provider is configured")]
    NothingAtAll,
}

/// Prints it.
pub fn metadata(arguments: &MetadataArguments) -> ExitCode {
    let config = match config::load(&arguments.config, &config::ProcessEnvironment) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.as_identity_provider {
        return match identity_provider::described(&config, arguments.portal.as_deref()) {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => super::fail(&error),
        };
    }
    let own = own_metadata(&config);
    let (portal, provider) = match pick(&own, arguments) {
        Ok(picked) => picked,
        Err(error) => return super::fail(&error),
    };
    match own.document(&portal, &provider) {
        Some(Ok(document)) => {
            print!("{document}");
            ExitCode::SUCCESS
        }
        Some(Err(error)) => super::fail(&error),
        None => super::fail(&NotOne::NothingAtAll),
    }
}

fn own_metadata(config: &Config) -> OwnMetadata {
    let port = config.listen.public_port.unwrap_or(config.listen.https.port());
    OwnMetadata::new(&config.providers, config.sign_in_portals(port), Random::default())
}

fn pick(own: &OwnMetadata, arguments: &MetadataArguments) -> Result<(HostName, ProviderName), NotOne> {
    let wanted = |given: Option<&String>, found: &str| given.is_none_or(|given| given.eq_ignore_ascii_case(found));
    let list = |pairs: &[(&HostName, &ProviderName)]| {
        pairs
            .iter()
            .map(|(portal, provider)| format!("--portal {portal} --provider {provider}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let all: Vec<_> = own.all().collect();
    let fitting: Vec<_> = (all.iter().copied())
        .filter(|(portal, provider)| {
            wanted(arguments.portal.as_ref(), portal.as_str()) && wanted(arguments.provider.as_ref(), provider.as_str())
        })
        .collect();
    match fitting.as_slice() {
        [(portal, provider)] => Ok(((*portal).clone(), (*provider).clone())),
        [] if all.is_empty() => Err(NotOne::NothingAtAll),
        [] => Err(NotOne::None(list(&all))),
        several => Err(NotOne::Several(list(several))),
    }
}

#[cfg(test)]
mod tests;
