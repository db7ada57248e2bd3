//! The demo's portal in front of JSM Cloud, and the gateway as the identity provider of its customers.

use std::io;
use std::path::Path;

use super::{CLOUD_HOST, WorldFailed, absolute};
use crate::app::App;
use crate::config::Config;
use crate::customer::cloud::identity_provider::SiteIdentityProvider;
use crate::demo::cloud_site::CloudSite;
use crate::demo::jsm_cloud::SERVICE_ACCOUNT;
use crate::demo::saml_provider::ProviderKey;
use crate::portal::settings::{CustomerSessionSettings, IdentityProviderSettings};
use crate::random::Random;

/// Under this name the gateway's key as the identity provider of the site is kept.
const OUR_KEY: &str = "cloud-gateway";

/// What the portal has in common with the other one.
pub(super) struct CloudPortal<'a> {
    pub(super) site: &'a CloudSite,
    pub(super) certificates: &'a Path,
    pub(super) providers: &'a str,
    pub(super) domains: &'a str,
    /// More lines for `customer_session.cloud_saml`, indented by eight blanks.
    pub(super) lines: &'a str,
}

impl CloudPortal<'_> {
    /// The portal, below `portals`. Its key is kept with the certificates.
    pub(super) fn configuration(&self) -> Result<String, WorldFailed> {
        ProviderKey::load_or_generate(self.certificates, OUR_KEY)?;
        let folder = absolute(self.certificates)?;
        let jsm = &self.site.jsm;
        let (upstream, entity_id, acs) = (jsm.base_url(), jsm.saml_entity_id(), jsm.saml_acs());
        let token = jsm.service_token()?;
        let Self { providers, domains, lines, .. } = self;
        Ok(format!(
            r#"  - host: {CLOUD_HOST}
    upstream: "{upstream}"
    upstream_ca: "{folder}/demo-ca.pem"
    sign_in: {{ providers: [{providers}] }}
    admission:
      email_domains: {{ allow: [{domains}] }}
      blocked_people: [bob@acme.example]
      contact: "Ask the service desk: +1 555 0100"
    customer_session:
      cloud_saml:
        signing_key: {{ file: "{folder}/{OUR_KEY}.key" }}
        certificate: {{ file: "{folder}/{OUR_KEY}.pem" }}
        site_entity_id: "{entity_id}"
        site_acs: "{acs}"
{lines}    directory:
      site_token: {{ user: "{SERVICE_ACCOUNT}", token: "{token}" }}
      service_desks: ["1"]
      organizations:
        - {{ email_domain: acme.example, organization: Acme }}
        - {{ email_domain: globex.com, organization: Globex }}
    rules:
      - {{ path: "/servicedesk/customer/kb/**", access: public }}
      - {{ path: "/s/**", access: public }}
      - {{ path: "/rest/servicedesk/1/customer/viewport-resources/**", access: public }}
"#,
            token = token.reveal(),
        ))
    }
}

/// What the gateway is to the site, as its configuration says.
pub(super) fn identity_provider(config: &Config) -> Option<IdentityProviderSettings> {
    config.portals.iter().find_map(|portal| match &portal.customer_session {
        CustomerSessionSettings::CloudSaml(cloud) => Some(cloud.identity_provider.clone()),
        _ => None,
    })
}

/// Tells the site of the gateway, as its administrators do, and lets nobody in by a password.
pub(super) fn introduce(
    site: &CloudSite,
    settings: &IdentityProviderSettings,
    app: &App,
    random: Random,
) -> Result<(), WorldFailed> {
    let host = crate::portal::HostName::parse(CLOUD_HOST).map_err(|error| io::Error::other(error.to_string()))?;
    let origin = crate::portal::PublicOrigin::new(&host, app.https_address().port());
    let metadata = SiteIdentityProvider::new(settings, &origin, random).metadata();
    let metadata = metadata.map_err(|error| io::Error::other(error.to_string()))?;
    site.jsm.configure_single_sign_on(metadata.as_bytes()).map_err(|error| io::Error::other(error.to_string()))?;
    site.jsm.switch(|switches| switches.password_login = false);
    Ok(())
}
