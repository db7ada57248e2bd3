//! `vestibule customers sync` and `release`, as operators call them: beside a running gateway, and while none runs.

use std::path::PathBuf;

use vestibule::clock::Clock;
use vestibule::demo::cloud_site::CloudSite;
use vestibule::demo::jsm_cloud::SERVICE_ACCOUNT;
use vestibule::random::Random;

use crate::harness::{Options, TestGateway, navigate};

/// Calls the command: whether it succeeded, and what it said.
async fn customers(config: &PathBuf, arguments: &[&str]) -> (bool, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .arg("customers")
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()
        .await
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_what_would_change_for_whom_change_it_and_give_accounts_away() {
    let site = CloudSite::start(None, None, Clock::System, Random::default()).await.unwrap();
    let (upstream, token) = (site.jsm.base_url(), site.jsm.service_token().unwrap());
    let mut options = Options::plain("127.0.0.1:1".parse().unwrap());
    options.upstream.clone_from(&upstream);
    options.portal = format!(
        "    customer_session: {{ redirect: {{ product: cloud }} }}\n    directory:\n      \
         site_token: {{ user: \"{SERVICE_ACCOUNT}\", token: \"{}\" }}\n      service_desks: [\"10\"]\n      \
         organizations: [ {{ email_domain: acme.com, organization: Acme }} ]\n",
        token.reveal()
    );
    let gateway = TestGateway::start(options).await;
    let config = gateway.folder.path().join("gateway.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    let admin = gateway.app.admin_address().unwrap();
    let text = text.replace("admin: \"127.0.0.1:0\"", &format!("admin: \"{admin}\""));
    std::fs::write(&config, &text).unwrap();
    for person in ["ana", "ben"] {
        let client = gateway.client();
        gateway.sign_in(&client, person).await;
        let page = navigate(&client, &format!("{}/servicedesk/customer/portals", gateway.origin())).await;
        assert_eq!(page.status(), 200);
    }
    let id = |email: &str| site.jsm.customer(email).unwrap().account_id;
    let organizations = |email: &str| site.jsm.organizations_of(&id(email));
    assert_eq!(organizations("ana@acme.com"), ["Acme"]);
    // The running gateway is asked, by its own configuration.
    for arguments in [&["sync", "--dry-run"][..], &["sync"]] {
        let (done, said) = customers(&config, arguments).await;
        assert!(done && said.contains("localhost: 2 people known, 0 "), "{said}");
    }
    let (done, said) = customers(&config, &["release", "nobody@acme.com"]).await;
    assert!(!done && said.contains("nobody is known by nobody@acme.com"), "{said}");
    // While none runs, by the configuration that the next one will have.
    let TestGateway { app, folder, .. } = gateway;
    app.drain().await;
    std::fs::write(&config, text.replace("organization: Acme }", "organization: Acme Ltd }")).unwrap();
    let calls = site.jsm.all_calls();
    let (done, planned) = customers(&config, &["sync", "--dry-run"]).await;
    assert!(done && planned.contains("localhost: 2 people known, 2 would change"), "{planned}");
    for told in ["ana@acme.com (acme)", "ben@acme.com (acme)", "add to organization \"Acme Ltd\"", "\"Acme\""] {
        assert!(planned.contains(told), "{told}: {planned}");
    }
    assert_eq!((site.jsm.all_calls(), organizations("ana@acme.com")), (calls, vec!["Acme".to_owned()]));
    let (done, changed) = customers(&config, &["sync"]).await;
    assert!(done, "{changed}");
    assert_eq!(changed, planned.replace("would change", "changed"), "what was told was done");
    for email in ["ana@acme.com", "ben@acme.com"] {
        assert_eq!(organizations(email), ["Acme Ltd"], "{email}");
    }
    let (done, said) = customers(&config, &["sync"]).await;
    assert!(done && said.contains("2 people known, 0 changed"), "{said}");
    let (done, said) = customers(&config, &["release", "ana@acme.com"]).await;
    assert!(done && said.contains("ana@acme.com: 1 released"), "{said}");
    let (done, said) = customers(&config, &["release", "ana"]).await;
    assert!(!done && !said.is_empty(), "{said}");
    drop(folder);
}
