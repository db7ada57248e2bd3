//! What an administrator of a Cloud site pastes into Atlassian's administration: the gateway as the site's identity provider.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::Config;
use crate::customer::cloud::identity_provider::{NotAnswered, SiteIdentityProvider};
use crate::portal::HostName;
use crate::portal::settings::CustomerSessionSettings;
use crate::random::Random;

/// Characters on a line of PEM (RFC 7468, section 2).
const LINE: usize = 64;

/// None, or several, fit to what was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOne {
    #[error("no portal has customer_session: cloud_saml")]
    NothingAtAll,
    #[error("that portal does not have customer_session: cloud_saml; these have: {0}")]
    None(String),
    #[error("several have customer_session: cloud_saml; say which by --portal: {0}")]
    Several(String),
    #[error(transparent)]
    NotWritten(#[from] NotAnswered),
}

/// What is to be pasted, for the one portal that is meant.
pub(super) fn described(config: &Config, portal: Option<&str>) -> Result<String, NotOne> {
    let port = config.listen.public_port.unwrap_or(config.listen.https.port());
    let all: Vec<(HostName, SiteIdentityProvider)> = (config.portals.iter())
        .filter_map(|settings| {
            let settings = settings.clone().with_public_port(port);
            let CustomerSessionSettings::CloudSaml(cloud) = &settings.customer_session else { return None };
            let (origin, random) = (&settings.public_origin, Random::default());
            let provider = SiteIdentityProvider::new(&cloud.identity_provider, origin, random);
            Some((settings.host.clone(), provider))
        })
        .collect();
    let hosts = all.iter().map(|(host, _)| host.to_string()).collect::<Vec<_>>().join(", ");
    let meant = |host: &HostName| portal.is_none_or(|portal| portal.eq_ignore_ascii_case(host.as_str()));
    let mut fitting = all.iter().filter(|(host, _)| meant(host));
    match (fitting.next(), fitting.next()) {
        (Some((host, provider)), None) => Ok(text(host, provider)?),
        (Some(_), Some(_)) => Err(NotOne::Several(hosts)),
        (None, _) if all.is_empty() => Err(NotOne::NothingAtAll),
        (None, _) => Err(NotOne::None(hosts)),
    }
}

fn text(host: &HostName, provider: &SiteIdentityProvider) -> Result<String, NotAnswered> {
    let mut text = format!("The identity provider of the customers at {host}, for Atlassian's administration.\n\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Identity provider entity ID\n{}\n", provider.entity_id());
    let _ = writeln!(text, "Identity provider SSO URL\n{}\n", provider.sign_on());
    for (index, certificate) in provider.certificates().enumerate() {
        let title = match index {
            0 => "Public x509 certificate",
            _ => "The next certificate, or the last one: for a site that takes several",
        };
        let _ = writeln!(text, "{title}\n{}", pem(certificate));
    }
    let _ = write!(text, "All of it as metadata\n{}", provider.metadata()?);
    Ok(text)
}

fn pem(certificate: &[u8]) -> String {
    let encoded = STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saml::keys::certificates_from_pem;
    use crate::saml::test_keys::{self, Kind};

    #[test]
    fn a_certificate_is_written_as_it_was_read() {
        let made = test_keys::one(Kind::Rsa2048);
        let written = pem(&made.certificate);
        assert_eq!(certificates_from_pem(written.as_bytes()), [made.certificate]);
        assert!(written.lines().all(|line| line.len() <= LINE));
    }

    #[test]
    fn what_is_printed_is_all_that_an_administrator_needs() {
        let folder = tempfile::tempdir().unwrap();
        let made = test_keys::one(Kind::Rsa2048);
        std::fs::write(folder.path().join("cloud.key"), &made.key_pem).unwrap();
        std::fs::write(folder.path().join("cloud.pem"), &made.certificate_pem).unwrap();
        let pair = rcgen::generate_simple_self_signed(vec!["support.acme.com".to_owned()]).unwrap();
        std::fs::write(folder.path().join("tls.pem"), pair.cert.pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
        let portal = |host: &str, session: &str| {
            format!(
                "  - host: {host}\n    upstream: https://acme.atlassian.net\n    sign_in: {{ providers: [okta] }}\n\
                 \x20   customer_session: {session}\n"
            )
        };
        let cloud = "{ cloud_saml: { signing_key: { file: cloud.key }, certificate: { file: cloud.pem }, \
                     site_entity_id: \"https://auth.atlassian.com/saml/1\", site_acs: \"https://auth.atlassian.com/acs\" } }\n\
                     \x20   directory: { site_token: { user: bot@acme.com, token: t0ken } }";
        let config = |portals: &str| {
            let text = format!(
                "version: 1\nlisten: {{ https: \"[::]:443\" }}\n\
                 tls: {{ certificates: [{{ cert: tls.pem, key: tls.key }}] }}\nkeys: [ vk1_{} ]\n\
                 session: {{ store: {{ embedded: {{ path: sessions.redb }} }} }}\nidentity_providers:\n  okta:\n    \
                 oidc: {{ issuer: https://okta.example, client_id: x, client_secret: y }}\n    label: Okta\n\
                 portals:\n{portals}",
                "k".repeat(42) + "A"
            );
            crate::config::parse(&text, folder.path(), &crate::config::ProcessEnvironment)
                .unwrap_or_else(|faults| panic!("{faults}"))
        };
        let one = config(&(portal("support.acme.com", cloud) + &portal("status.acme.com", "none")));
        let told = described(&one, None).unwrap();
        for part in [
            "https://support.acme.com/.vestibule/cloud/metadata\n",
            "https://support.acme.com/.vestibule/cloud/sign-on\n",
            "-----END CERTIFICATE-----\n",
            "<md:IDPSSODescriptor ",
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(!told.contains("PRIVATE"));
        assert!(matches!(described(&one, Some("status.acme.com")), Err(NotOne::None(_))));
        let two = config(&(portal("support.acme.com", cloud) + &portal("help.acme.com", cloud)));
        assert!(matches!(described(&two, None), Err(NotOne::Several(_))));
        assert!(described(&two, Some("HELP.acme.com")).unwrap().contains("https://help.acme.com/"));
        let none = config(&portal("status.acme.com", "none"));
        assert!(matches!(described(&none, None), Err(NotOne::NothingAtAll)));
    }
}
