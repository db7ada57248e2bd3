//! What `vestibule check` shows of a sound configuration.

use std::fmt::{self, Write as _};

use super::Config;
use super::quantity::{show_duration, show_rate, show_size};
use crate::customer::trusted_jwt::TokenKeys;
use crate::listener::settings::{CertificateHosts, Demand};
use crate::portal::settings::{
    AccountsSettings, Balance, Choose, CustomerSessionSettings, DirectorySettings, EachOf, Elsewhere, OnEmailChange,
    OnLeave, OrganizationRule, OtherAccounts, PortalSettings, ServiceCredentials, TrustedJwtSettings, UpstreamSettings,
    ValueSource, Walk,
};
use crate::session::settings::StoreSettings;
use crate::sign_in::saml::metadata_source::MetadataFrom;
use crate::sign_in::settings::{
    ClientAuthentication, EmailTrust, OidcSettings, Protocol, ProviderSettings, SamlSettings, Unsolicited,
};
use crate::telemetry::settings::LogFormat;

/// The summary: one block for each part of the file, one line for each setting that matters.
pub(super) fn of(config: &Config) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, config);
    text
}

fn write(out: &mut String, config: &Config) -> fmt::Result {
    let listen = &config.listen;
    writeln!(out, "listen")?;
    line(out, "https", &listen.https)?;
    line(out, "http", &listen.http.map_or("none".to_owned(), |address| format!("{address}, redirects to https")))?;
    line(out, "admin", &listen.admin.map_or("none".to_owned(), |address| address.to_string()))?;
    if let Some(address) = listen.behind_tls_proxy {
        line(out, "behind TLS proxy", &format!("{address}, for trusted proxies alone"))?;
    }
    line(out, "trusted proxies", &list(&listen.trusted_proxies, "none"))?;
    if listen.proxy_protocol {
        line(out, "PROXY protocol", &"demanded of the trusted proxies")?;
    }
    for pair in &config.tls.certificates {
        line(out, "certificate", &format!("{} with the key {}", pair.cert.display(), pair.key.display()))?;
    }
    if let Some(acme) = &config.tls.acme {
        let directory = format!("{}{}", acme.directory.origin().ascii_serialization(), acme.directory.path());
        line(out, "other hosts", &format!("certificates ordered from {directory}"))?;
        let challenges: Vec<&str> = acme.challenges.iter().map(|kind| kind.name()).collect();
        line(out, "proved by", &list(&challenges, "nothing"))?;
        let key_types: Vec<&str> = acme.key_types.iter().map(|key_type| key_type.name()).collect();
        line(out, "kinds of keys", &list(&key_types, "none"))?;
        if let Some(external) = &acme.external_account {
            line(out, "external account", &format!("{}, {}", external.kid, external.key.source()))?;
        }
    }
    if let Some(visitors) = &config.tls.client_certificates {
        let demand = match visitors.demand {
            Demand::Required => "demanded",
            Demand::Optional => "asked for",
        };
        let hosts = match &visitors.hosts {
            CertificateHosts::All => "all hosts".to_owned(),
            CertificateHosts::These(hosts) => list(hosts, "none"),
        };
        line(out, "of visitors", &format!("certificates by {}, {demand} at {hosts}", visitors.ca.display()))?;
    }
    line(out, "HSTS", &config.tls.hsts)?;

    let session = &config.session;
    writeln!(out, "session")?;
    line(
        out,
        "ends after",
        &format!(
            "{} without use, {} at the latest",
            show_duration(session.idle_timeout),
            show_duration(session.absolute_timeout)
        ),
    )?;
    let StoreSettings::Embedded { path } = &session.store;
    line(out, "store", &path.display())?;
    for (index, key) in session.keys.iter().enumerate() {
        let duty = if index == 0 { "seals and opens" } else { "opens" };
        line(out, "key", &format!("{}, {duty}", key.source()))?;
    }

    for provider in &config.providers {
        provider_lines(out, provider)?;
    }
    for portal in &config.portals {
        portal_lines(out, portal)?;
    }
    let format = match config.log.format {
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    };
    writeln!(out, "log")?;
    line(out, "format", &format)?;
    line(out, "level", &config.log.level.to_string().to_lowercase())
}

fn provider_lines(out: &mut String, provider: &ProviderSettings) -> fmt::Result {
    writeln!(out, "identity provider {}", provider.name)?;
    line(out, "label", &provider.label)?;
    match &provider.protocol {
        Protocol::Oidc(oidc) => oidc_lines(out, oidc)?,
        Protocol::Saml(saml) => saml_lines(out, saml)?,
    }
    line(out, "speaks for", &list(provider.speaks_for.listed(), "any mail domain that no other provider lists"))?;
    let trust = match &provider.protocol {
        Protocol::Oidc(oidc) => oidc.email_trust,
        Protocol::Saml(saml) => saml.email_trust,
    };
    match trust {
        EmailTrust::AsClaimed => Ok(()),
        EmailTrust::DangerouslyAlways => line(out, "warning", &"takes every e-mail address as verified"),
    }
}

fn saml_lines(out: &mut String, saml: &SamlSettings) -> fmt::Result {
    let from = match &saml.metadata.from {
        MetadataFrom::File(path) => path.display().to_string(),
        // A query may hold a secret.
        MetadataFrom::Url(url) => format!("{}{}", url.origin().ascii_serialization(), url.path()),
    };
    let signed = if saml.metadata.signed_by.is_empty() { "need not be signed" } else { "has to be signed" };
    line(out, "metadata", &format!("{from}, {signed}"))?;
    line(out, "our entity id", &saml.our_entity_id.as_deref().unwrap_or("that of each portal"))?;
    let keys = &saml.keys;
    let signs = if keys.signing().is_some() { "signed" } else { "not signed" };
    line(out, "requests", &signs)?;
    line(out, "keys to decrypt", &keys.decryption().len())?;
    if saml.signatures.legacy_sha1 {
        line(out, "warning", &"believes signatures with SHA-1")?;
    }
    if saml.unsolicited == Unsolicited::DangerouslyTaken {
        line(out, "warning", &"takes responses that nobody asked for")?;
    }
    Ok(())
}

fn oidc_lines(out: &mut String, oidc: &OidcSettings) -> fmt::Result {
    line(out, "issuer", &oidc.issuer_text)?;
    let proof = match &oidc.client_authentication {
        ClientAuthentication::SecretBasic(secret) => format!("client_secret_basic, {}", secret.source()),
        ClientAuthentication::SecretPost(secret) => format!("client_secret_post, {}", secret.source()),
        ClientAuthentication::PrivateKeyJwt { key, .. } => format!("private_key_jwt, {}", key.source()),
    };
    line(out, "client", &format!("{}, {proof}", oidc.client_id))
}

fn portal_lines(out: &mut String, portal: &PortalSettings) -> fmt::Result {
    writeln!(out, "portal {}", portal.public_origin)?;
    if !portal.aliases.is_empty() {
        line(out, "led here", &list(&portal.aliases, "none"))?;
    }
    if let Some(group) = &portal.session_group {
        line(out, "sessions", &format!("shared in the group {}", group.as_str()))?;
    }
    line(out, "upstream", &portal.upstream.url)?;
    node_lines(out, &portal.upstream)?;
    if let Some(ca) = &portal.upstream.ca {
        line(out, "verified by", &format!("{} ({} certificates)", ca.path, ca.certificates.len()))?;
    }
    let choose = match portal.sign_in.choose {
        Choose::ByEmail => "by_email",
        Choose::List => "list",
        Choose::Single => "single",
    };
    line(out, "sign-in", &format!("{}, {choose}", list(&portal.sign_in.providers, "none")))?;
    let admission = &portal.admission;
    line(out, "lets in", &list(&admission.allow, "every mail domain that its providers speak for"))?;
    if let Some(require) = &admission.require {
        line(out, "requires", &require.text())?;
    }
    if !admission.deny.is_empty() || !admission.blocked.is_empty() || !admission.blocked_accounts.is_empty() {
        let people = admission.blocked.len().saturating_add(admission.blocked_accounts.len());
        line(out, "keeps out", &format!("{} domains and {people} people", admission.deny.len()))?;
    }
    match &portal.customer_session {
        CustomerSessionSettings::None => line(out, "customers", &"the upstream is told nothing")?,
        CustomerSessionSettings::DataCenter(settings) => {
            line(out, "customers", &format!("datacenter, {}", account(&settings.directory)))?;
            directory_lines(out, portal, &settings.directory)?;
        }
        CustomerSessionSettings::CloudPassword(settings) => {
            let directory = &settings.site.accounts.directory;
            line(out, "customers", &format!("cloud_password, {}", account(directory)))?;
            if let Some(hook) = &settings.hook {
                line(out, "passwords from", &hook.program.display())?;
            }
            other_accounts_line(out, &settings.site.elsewhere)?;
            directory_lines(out, portal, directory)?;
        }
        CustomerSessionSettings::CloudSaml(settings) => {
            let directory = &settings.site.accounts.directory;
            line(out, "customers", &format!("cloud_saml, {}", account(directory)))?;
            let site = &settings.identity_provider.site;
            line(out, "signs on to", &site.entity_id)?;
            let requests = if site.signs_requests { "have to be signed" } else { "need not be signed" };
            line(out, "its requests", &requests)?;
            if settings.walk == Walk::Browser {
                line(out, "sign-on", &"walked by the visitor's browser, through the gateway")?;
            }
            other_accounts_line(out, &settings.site.elsewhere)?;
            directory_lines(out, portal, directory)?;
        }
        CustomerSessionSettings::TrustedJwt(settings) => trusted_jwt_lines(out, portal, settings)?,
        CustomerSessionSettings::Redirect(settings) => {
            let address = settings.elsewhere.address.origin().ascii_serialization();
            line(out, "customers", &format!("redirect to {address}"))?;
            other_accounts_line(out, &settings.elsewhere)?;
            accounts_lines(out, portal, settings.accounts.as_ref())?;
        }
    }
    for rule in &portal.rules {
        let require = rule.require.as_ref().map(|require| format!(", requires {}", require.text())).unwrap_or_default();
        line(out, "rule", &format!("{} {:?}{require}", rule.path, rule.access))?;
    }
    for pair in &portal.rewrite.origins {
        let public =
            pair.public.as_ref().map_or(portal.public_origin.to_string(), |url| url.origin().ascii_serialization());
        line(out, "rewrites", &format!("{} to {public}", pair.upstream.origin().ascii_serialization()))?;
    }
    if let Some(name) = &portal.look.name {
        line(out, "is called", name)?;
    }
    if !portal.rewrite.texts.is_empty() {
        line(out, "replaces", &format!("{} texts", portal.rewrite.texts.len()))?;
    }
    let limits = &portal.limits;
    for (most, span) in [(limits.creations.per_day, "day"), (limits.creations.per_minute, "minute")] {
        if let Some(most) = most {
            line(out, "request limit", &format!("{most} for each customer in a {span}"))?;
        }
    }
    if let Some(rate) = limits.sign_in_attempts {
        line(out, "sign-in limit", &format!("{} for each address", show_rate(rate.times, rate.per)))?;
    }
    line(out, "body limit", &show_size(limits.body))
}

/// Where the site is reached, as far as it is more than its own name.
fn node_lines(out: &mut String, upstream: &UpstreamSettings) -> fmt::Result {
    let nodes = &upstream.nodes;
    if upstream.has_nodes() {
        line(out, "addresses", &list(&nodes.addresses, "those of its name"))?;
        let whose = match nodes.balance {
            Balance::Person => "one address for each person",
            Balance::Spread => "the next address for each request",
            Balance::InOrder => "the first address that is not out",
        };
        line(out, "balance", &format!("{}: {whose}", nodes.balance.name()))?;
    }
    if let Some(check) = &nodes.health_check {
        let status = list(&check.status.iter().map(|status| status.as_u16()).collect::<Vec<_>>(), "none");
        let text = check.text.as_ref().map(|text| format!(" and {text:?}")).unwrap_or_default();
        line(out, "checked by", &format!("{} every {}: {status}{text}", check.path, show_duration(check.every)))?;
    }
    match nodes.connections.per_address {
        Some(most) => {
            let wait = show_duration(nodes.connections.wait);
            line(out, "connections", &format!("{most} for each address; others wait {wait} at most"))
        }
        None => Ok(()),
    }
}

fn account(directory: &DirectorySettings) -> String {
    let account = match &directory.credentials {
        ServiceCredentials::Bearer(token) => format!("personal access token, {}", token.source()),
        ServiceCredentials::Basic { user, token } => format!("user {user}, {}", token.source()),
    };
    match &directory.api_url {
        Some(url) => format!("{account}, at {url}"),
        None => account,
    }
}

fn trusted_jwt_lines(out: &mut String, portal: &PortalSettings, settings: &TrustedJwtSettings) -> fmt::Result {
    let lifetime = show_duration(settings.lifetime);
    line(out, "customers", &format!("trusted_jwt for {}, {lifetime} each, in {}", settings.audience, settings.header))?;
    line(out, "issuer", &settings.issuer.as_deref().unwrap_or(portal.public_origin.as_str()))?;
    let ids = TokenKeys::from_pems(&settings.signing_keys).map(|keys| keys.ids().to_vec()).unwrap_or_default();
    for (index, (key, id)) in settings.signing_keys.iter().zip(ids).enumerate() {
        let duty = if index == 0 { "signs" } else { "is published" };
        line(out, "token key", &format!("{id}, {}, {duty}", key.source()))?;
    }
    if let Some(cookie) = &settings.cookie {
        line(out, "token cookie", cookie)?;
    }
    line(out, "kept cookies", &list(&settings.session_cookies, "none"))?;
    accounts_lines(out, portal, settings.accounts.as_ref())
}

fn other_accounts_line(out: &mut String, elsewhere: &Elsewhere) -> fmt::Result {
    let address = elsewhere.address.origin().ascii_serialization();
    let told = match elsewhere.other_accounts {
        OtherAccounts::Refuse => "are refused".to_owned(),
        OtherAccounts::Offer => format!("are refused, with a link to {address}"),
        OtherAccounts::HandOver => format!("are handed over to {address}"),
    };
    line(out, "other accounts", &told)
}

fn accounts_lines(out: &mut String, portal: &PortalSettings, accounts: Option<&AccountsSettings>) -> fmt::Result {
    let Some(accounts) = accounts else { return line(out, "directory", &"none: nobody is provisioned or judged") };
    line(out, "directory", &account(&accounts.directory))?;
    directory_lines(out, portal, &accounts.directory)
}

fn directory_lines(out: &mut String, portal: &PortalSettings, directory: &DirectorySettings) -> fmt::Result {
    line(out, "service desks", &list(&directory.service_desks, "none"))?;
    for rule in &directory.organizations {
        let told = match rule {
            OrganizationRule::Everybody(name) => format!("{name}: every customer"),
            OrganizationRule::OfDomain(domain, name) => format!("{name}: people at {domain}"),
            OrganizationRule::EachOf(rule) => {
                let of = match &rule.source {
                    ValueSource::Groups => "groups".to_owned(),
                    ValueSource::Claim(name) => format!("claims.{name}"),
                };
                format!("{}: each of {of} as told by {}", rule.organization, list(&rule.providers, "every provider"))
            }
        };
        line(out, "organization", &told)?;
        if let OrganizationRule::EachOf(EachOf { providers, .. }) = rule
            && providers.is_empty()
            && portal.sign_in.providers.len() > 1
        {
            line(
                out,
                "warning",
                &"any of the providers can put its people into any organization but those of email_domain",
            )?;
        }
    }
    let leave = match directory.on_leave {
        OnLeave::Keep => "keeps everything",
        OnLeave::RemoveAddedOrganizations => "leaves the organizations that were added",
        OnLeave::RevokePortalAccess => "loses access to the portal",
    };
    line(out, "who leaves", &leave)?;
    let change = match directory.on_email_change {
        OnEmailChange::Keep => "keeps the account",
        OnEmailChange::Follow => "the account follows",
        OnEmailChange::Refuse => "is refused",
    };
    line(out, "new e-mail", &change)
}

fn line(out: &mut String, name: &str, value: &dyn fmt::Display) -> fmt::Result {
    writeln!(out, "  {name:<16}{value}")
}

fn list<T: fmt::Display>(items: &[T], none: &str) -> String {
    if items.is_empty() {
        return none.to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
