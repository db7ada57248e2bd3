//! The command line: arguments in, exit code out.

mod check;
mod customers;
mod demo;
mod keys;
mod metadata;
mod reload;
mod run;
mod running_gateway;
mod saml;
mod service_manager;
mod upgrade;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An authenticating edge reverse proxy for Jira Service Management customer portals.
///
/// Stands on the portal's own host name, signs visitors in at the company's identity providers, makes sure that a
/// customer exists in Jira Service Management, and forwards the visitor's requests with a customer session injected.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the portals of a configuration until SIGTERM or SIGINT.
    ///
    /// Logs one line for each listener and portal. On SIGHUP it reads the configuration again. On SIGUSR2 a new process of the
    /// program takes its place, as by `vestibule upgrade`. On SIGTERM it stops to accept connections, lets requests in flight
    /// finish for up to listen.limits.drain, and exits. Sockets that systemd passes (LISTEN_FDS) are used, and nothing is bound
    /// in their place. Exit code 0 after an orderly end, 1 when it cannot start.
    Run(ConfigArgument),
    /// Have the running gateway read its configuration again, and say what came of it.
    ///
    /// The same as SIGHUP. The file is checked first, here and there; then all of it is in force for new requests, or
    /// nothing: sessions, connections and listeners stay. The gateway reads the file that it was started with, and is
    /// reached at listen.admin, which has to be on loopback. Exit code 0 when it is in force, 1 when the configuration
    /// before stays so.
    Reload(ConfigArgument),
    /// Have a new process of the program take the place of the running gateway, and say what came of it.
    ///
    /// The same as SIGUSR2. The program is the file that stands now where the running gateway was started from, with the same
    /// arguments. It gets the listening sockets, reads the configuration, and takes over once it is ready: no connection is
    /// refused, sessions and sign-ins under way go on. What is open ends in the old process, within listen.limits.drain. The
    /// gateway is reached at listen.admin, which has to be on loopback. Exit code 0 when the new process serves, 1 when the old
    /// one serves on.
    Upgrade(ConfigArgument),
    /// Check a configuration and print every fault with its place, or what the configuration means.
    ///
    /// Nothing is started and nothing is called. Secrets are told by where they come from, never by what they are.
    /// Exit code 0 when there is no fault, 1 otherwise.
    Check(ConfigArgument),
    /// Print the JSON Schema of gateway.yaml, for editors.
    Schema,
    /// Make keys.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Print the gateway's own SAML metadata, for the operator of an identity provider.
    ///
    /// The same document is served at https://HOST/.vestibule/saml/NAME/metadata. Nothing is started and nothing is called.
    Metadata(metadata::MetadataArguments),
    /// Look after the customers whom the ledger knows.
    ///
    /// A running gateway carries the order out itself; it is reached at listen.admin, which has to be on loopback.
    Customers {
        #[command(subcommand)]
        command: CustomersCommand,
    },
    /// Look into SAML.
    Saml {
        #[command(subcommand)]
        command: SamlCommand,
    },
    /// Show the whole journey on this machine: gateway, identity provider and a Jira Service Management look-alike.
    ///
    /// Everything runs in this one process, on loopback, with certificates of its own. Prints where to go and who to
    /// be, and serves until Ctrl-C.
    Demo(DemoArguments),
}

#[derive(Debug, clap::Args)]
struct ConfigArgument {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "gateway.yaml", env = "VESTIBULE_CONFIG")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Print a new key for `keys` in gateway.yaml: 256 random bits. Keep it secret, and the same on all gateways.
    New,
}

#[derive(Debug, Subcommand)]
enum CustomersCommand {
    /// Hold everybody against the configuration: service desks, organizations, names, and on_leave for those who are not
    /// admitted any more.
    ///
    /// Prints what changes for whom. Exit code 0, or 1 when something could not be done.
    Sync {
        /// Only print what would change; call nobody and change nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        config: ConfigArgument,
    },
    /// Give the account of an e-mail address to whoever next proves that address.
    ///
    /// For people whose sign-in has changed: another provider, or another subject at the same one. Until then the account
    /// belongs to the identity that had it first. Exit code 0, or 1 when nobody is known by the address.
    Release {
        /// The e-mail address.
        email: String,
        #[command(flatten)]
        config: ConfigArgument,
    },
    /// Keep passwords that customers have at a Cloud site, for portals with customer_session: cloud_password.
    ///
    /// Reads one JSON object on each line: {"email": "ana@acme.com", "password": "..."}. The password is sealed for the
    /// account that has exactly this address at the site; with null in its place, the one that is kept is forgotten.
    /// When one line cannot be read, nothing is done. Prints what became of each, and never a password. Exit code 0, or
    /// 1 when something was not kept.
    Import {
        /// The file with the rows; "-" for standard input.
        file: PathBuf,
        /// The portal; needed where several keep passwords.
        #[arg(long, value_name = "HOST")]
        portal: Option<String>,
        /// Keep only what a login proves. Each wrong password counts as a failed login at the site.
        #[arg(long)]
        prove: bool,
        #[command(flatten)]
        config: ConfigArgument,
    },
}

#[derive(Debug, Subcommand)]
enum SamlCommand {
    /// Verify one SAML response as the live service would, and print one JSON object.
    ///
    /// Checked is everything but replay: shape, signatures with the keys of the metadata, encryption, issuer, status,
    /// Destination, Recipient, Audience, InResponseTo, and all times at --now, with a skew of one minute. The object is
    /// {"accepted": true, "subject": ..., "email": ..., "claims": ...} or
    /// {"accepted": false, "rejected": {"reason": ..., "sentence": ...}}; the sentence says what to change.
    /// Exit code 0 when accepted, 1 in every other case.
    Verify(saml::VerifyArguments),
}

/// Options of `vestibule demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArguments {
    /// Walk the whole journey without a browser, print each step and its time, and exit with 0 or 1.
    #[arg(long)]
    check: bool,
    /// The folder of the demo's certificates; made when they are missing or expired.
    #[arg(long, value_name = "FOLDER", default_value = "certs/demo")]
    certificates: PathBuf,
    /// The port of the gateway; 0 takes any free one.
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// The port of /metrics, /healthz and /readyz; 0 takes any free one.
    #[arg(long, default_value_t = 9090)]
    admin_port: u16,
    /// Only make the certificates, for these host names too, and exit.
    #[arg(long, value_name = "HOST", num_args = 0.., value_delimiter = ',')]
    make_certificates: Option<Vec<String>>,
}

impl Arguments {
    /// Reads the command line and carries out the command. A command line that cannot be read exits with 2, as usual; one of
    /// `saml verify`, which answers every input alike, with 1.
    pub fn read_and_carry_out() -> ExitCode {
        let error = match Self::try_parse() {
            Ok(arguments) => return arguments.carry_out(),
            Err(error) => error,
        };
        let words: Vec<_> = std::env::args_os().skip(1).take(2).collect();
        if error.use_stderr() && words == ["saml", "verify"] {
            saml::unreadable_arguments(&error)
        } else {
            error.exit()
        }
    }

    /// Carries out the command.
    pub fn carry_out(self) -> ExitCode {
        match self.command {
            Command::Run(argument) => run::run(&argument.config),
            Command::Reload(argument) => reload::reload(&argument.config),
            Command::Upgrade(argument) => upgrade::upgrade(&argument.config),
            Command::Check(argument) => check::check(&argument.config),
            Command::Schema => check::schema(),
            Command::Keys { command: KeysCommand::New } => keys::new(),
            Command::Metadata(arguments) => metadata::metadata(&arguments),
            Command::Customers { command: CustomersCommand::Sync { dry_run, config } } => {
                customers::sync(&config.config, dry_run)
            }
            Command::Customers { command: CustomersCommand::Release { email, config } } => {
                customers::release(&config.config, &email)
            }
            Command::Customers { command: CustomersCommand::Import { file, portal, prove, config } } => {
                customers::import(&config.config, &file, portal.as_deref(), prove)
            }
            Command::Saml { command: SamlCommand::Verify(arguments) } => saml::verify(&arguments),
            Command::Demo(arguments) => demo::demo(&arguments),
        }
    }
}

/// Says in one sentence on standard error why nothing was done.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("vestibule: {error}");
    ExitCode::FAILURE
}

/// The runtime that serves.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("vestibule").build()
}
