//! The demo's portal before a Cloud site without single sign-on, whose customers have passwords.

use crate::clock::Clock;
use crate::demo::cloud_site::{CloudSite, NoCloudSite};
use crate::demo::jsm_cloud::SERVICE_ACCOUNT;
use crate::random::{NoRandomness, Random};

use super::PROVIDER;

/// The portal's host.
pub const PASSWORD_PORTAL: &str = "passwords.localhost";

/// Starts the site.
pub(super) async fn start(
    tls: std::sync::Arc<rustls::ServerConfig>,
    clock: Clock,
    random: Random,
) -> Result<CloudSite, NoCloudSite> {
    let site = CloudSite::start(Some(tls), None, clock, random).await?;
    site.furnish()?;
    Ok(site)
}

/// What the gateway's configuration says of the portal, below `portals`.
pub(super) fn configuration(site: &CloudSite, certificates: &str) -> Result<String, NoRandomness> {
    let (url, token) = (site.jsm.base_url(), site.jsm.service_token()?);
    let token = token.reveal();
    Ok(format!(
        r#"  - host: {PASSWORD_PORTAL}
    upstream: "{url}"
    upstream_ca: "{certificates}/demo-ca.pem"
    sign_in: {{ providers: [{PROVIDER}] }}
    admission:
      email_domains: {{ allow: [acme.example] }}
      blocked_people: [bob@acme.example]
      contact: "Ask the service desk: +1 555 0100"
    customer_session: {{ cloud_password: {{}} }}
    directory:
      site_token: {{ user: {SERVICE_ACCOUNT}, token: "{token}" }}
      service_desks: ["1"]
    rules:
      - {{ path: "/servicedesk/customer/kb/**", access: public }}
      - {{ path: "/s/**", access: public }}
      - {{ path: "/rest/servicedesk/1/customer/viewport-resources/**", access: public }}
"#
    ))
}
