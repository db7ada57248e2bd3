//! `vestibule demo`: the whole journey on one machine.

use std::io::Write as _;
use std::process::ExitCode;

use super::DemoArguments;
use crate::clock::{Clock, Stopwatch};
use crate::demo::certificates::DemoAuthority;
use crate::demo::journey;
use crate::demo::openid_provider::{Person, Settings};
use crate::demo::saml_provider;
use crate::demo::world::{ProviderChoice, World, WorldFailed, WorldSettings};
use crate::random::Random;
use crate::telemetry::log;
use crate::telemetry::settings::{LogFormat, LogSettings};

/// Serves the demo, or walks its journey.
pub fn demo(arguments: &DemoArguments) -> ExitCode {
    if let Some(hosts) = &arguments.make_certificates {
        return make_certificates(arguments, hosts);
    }
    let level = if arguments.check { tracing::Level::ERROR } else { tracing::Level::INFO };
    let _flushed = log::start(&LogSettings { format: LogFormat::Text, level });
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return super::fail(&error),
    };
    runtime.block_on(show(arguments))
}

async fn show(arguments: &DemoArguments) -> ExitCode {
    progress("making certificates, and starting the gateway, an OpenID provider, a SAML provider and a JSM look-alike");
    let watch = Stopwatch::start();
    let random = Random::default();
    let Ok(token) = random.token() else { return ExitCode::FAILURE };
    let state = std::env::temp_dir().join(format!("vestibule-demo-{token}"));
    let settings = WorldSettings {
        port: arguments.port,
        admin_port: arguments.admin_port,
        certificates: arguments.certificates.clone(),
        state: state.clone(),
        provider: ProviderChoice::BuiltIn(Box::default()),
        saml: Some(Box::default()),
        portal_lines: String::new(),
        datacenter_lines: String::new(),
        cloud_lines: String::new(),
        recorded: 0,
        clock: Clock::System,
    };
    let world = match World::start(settings, random).await {
        Ok(world) => world,
        Err(error) => {
            let _ = std::fs::remove_dir_all(&state);
            return super::fail(&error);
        }
    };
    log::report_to(world.app.metrics());
    progress(&format!("ready after {} ms", watch.elapsed().as_millis()));
    let code = if arguments.check { check(&world).await } else { serve(&world, arguments).await };
    world.stop().await;
    let _ = std::fs::remove_dir_all(&state);
    code
}

async fn check(world: &World) -> ExitCode {
    let watch = Stopwatch::start();
    let (mut passed, mut failed) = (0_u32, 0_u32);
    let all = journey::walk(world, |step, took, error| match error {
        None => {
            passed = passed.saturating_add(1);
            progress(&format!("ok      {:>6} ms  {step}", took.as_millis()));
        }
        Some(error) => {
            failed = failed.saturating_add(1);
            progress(&format!("FAILED  {:>6} ms  {step}: {error}", took.as_millis()));
        }
    })
    .await;
    progress(&format!("{passed} steps passed, {failed} failed, {} ms", watch.elapsed().as_millis()));
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn serve(world: &World, arguments: &DemoArguments) -> ExitCode {
    let (by_openid, by_saml) = (Settings::default().people, saml_provider::Settings::default().people);
    let people = |company: &str, people: &[Person]| -> String {
        let lines = people.iter().map(|person| format!("    {:<14} {}", person.name, person.note));
        std::iter::once(format!("    {company}")).chain(lines).collect::<Vec<_>>().join("\n")
    };
    let people = [
        people("Acme, by OpenID Connect:", &by_openid),
        people("Globex, by SAML (sign out at its own page, too: see below):", &by_saml),
    ];
    let saml = world.saml.as_ref().map(|provider| provider.address()).unwrap_or_default();
    let admin = world.app.admin_address().map(|address| address.to_string()).unwrap_or_default();
    progress(&format!(
        "\n  open      {origin}/servicedesk/customer/portals (JSM Data Center)\n            \
         {at_cloud}/servicedesk/customer/portals (JSM Cloud)\n  \
         be        (the sign-in page asks for no password)\n{people}\n  \
         pages     {origin}/.vestibule/sign-out (signs out here, and at the provider)\n            \
         {saml}/logout (signs out at Globex, and so here)\n            \
         {saml}/metadata (what Globex says of itself)\n  \
         metrics   http://{admin}/metrics\n  \
         JSM       {jsm} (the look-alike of Data Center itself; its people log in with a password there)\n  \
         Cloud     {cloud} (the look-alike of JSM Cloud itself; it lets people in by the gateway alone)\n  \
         stop      Ctrl-C\n\n  \
         The browser warns about the certificate until {certificates}/demo-ca.pem is trusted.\n",
        origin = world.origin(),
        at_cloud = world.cloud_origin(),
        people = people.join("\n"),
        jsm = world.jsm.base_url(),
        cloud = world.cloud.jsm.base_url(),
        certificates = arguments.certificates.display(),
    ));
    match tokio::signal::ctrl_c().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::fail(&error),
    }
}

fn make_certificates(arguments: &DemoArguments, hosts: &[String]) -> ExitCode {
    let made = || -> Result<(), WorldFailed> {
        let authority = DemoAuthority::load_or_generate(&arguments.certificates, Clock::System.now())?;
        authority.load_or_issue(&arguments.certificates, "localhost", &["localhost", "127.0.0.1"])?;
        for host in hosts.iter().filter(|host| !host.is_empty()) {
            authority.load_or_issue(&arguments.certificates, host, &[host])?;
        }
        Ok(())
    };
    match made() {
        Ok(()) => {
            progress(&format!("certificates are in {}", arguments.certificates.display()));
            ExitCode::SUCCESS
        }
        Err(error) => super::fail(&error),
    }
}

/// A line for whoever waits.
fn progress(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
