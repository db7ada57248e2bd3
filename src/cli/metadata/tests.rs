use super::*;
use crate::portal::PublicOrigin;
use crate::sign_in::saml::SignInPortal;

fn arguments(portal: Option<&str>, provider: Option<&str>) -> MetadataArguments {
    let (portal, provider) = (portal.map(str::to_owned), provider.map(str::to_owned));
    MetadataArguments { config: PathBuf::new(), portal, provider, as_identity_provider: false }
}

fn portal(host: &str, providers: &[&str]) -> SignInPortal {
    let host = HostName::parse(host).unwrap();
    let origin = PublicOrigin::new(&host, 443);
    let providers = providers.iter().map(|name| ProviderName::parse(name).unwrap()).collect();
    SignInPortal { host, origin, providers }
}

#[test]
fn without_saml_there_is_nothing_to_print() {
    let own = OwnMetadata::new(&[], vec![portal("a.example", &["okta"])], Random::default());
    assert!(matches!(pick(&own, &arguments(None, None)), Err(NotOne::NothingAtAll)));
}
