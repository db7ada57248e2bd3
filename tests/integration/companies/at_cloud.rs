//! The same companies in front of Cloud, by the site's single sign-on; and every way in which a provider may try to get at
//! somebody else's account there.

use reqwest::Client;
use serde_json::json;
use vestibule::clock::Clock;
use vestibule::demo::cloud_site::CloudSite;
use vestibule::demo::jsm_cloud::{AccountType, JsmCloud, SERVICE_ACCOUNT};
use vestibule::demo::saml_provider::ProviderKey;
use vestibule::random::Random;

use super::stage::{Site, Stage};

const ANA: &str = "ana@acme.com";
const BEN: &str = "ben@acme.com";
const GIL: &str = "gil@globex.com";

struct AtCloud {
    stage: Stage,
    site: CloudSite,
    _key: tempfile::TempDir,
}

async fn start(directory_lines: &str) -> AtCloud {
    let site = CloudSite::start(None, None, Clock::System, Random::default()).await.unwrap();
    let (jsm, key) = (&site.jsm, tempfile::tempdir().unwrap());
    ProviderKey::load_or_generate(key.path(), "gateway").unwrap();
    let keys = key.path().display();
    let lines = format!(
        "    customer_session:\n      cloud_saml:\n        signing_key: {{ file: \"{keys}/gateway.key\" }}\n        \
         certificate: {{ file: \"{keys}/gateway.pem\" }}\n        site_entity_id: \"{}\"\n        site_acs: \"{}\"\n    \
         directory:\n      site_token: {{ user: \"{SERVICE_ACCOUNT}\", token: \"{}\" }}\n      service_desks: [\"1\"]\n",
        jsm.saml_entity_id(),
        jsm.saml_acs(),
        jsm.service_token().unwrap().reveal(),
    );
    let stage = Stage::start(Site { upstream: jsm.base_url(), lines, desk: ("1", "11") }, directory_lines).await;
    let metadata = stage.open(&stage.browser(), "/.vestibule/cloud/metadata").await.bytes().await.unwrap();
    jsm.configure_single_sign_on(&metadata).unwrap();
    AtCloud { stage, site, _key: key }
}

impl AtCloud {
    fn jsm(&self) -> &JsmCloud {
        &self.site.jsm
    }

    fn organizations(&self, email: &str) -> Vec<String> {
        self.jsm().organizations_of(&self.jsm().customer(email).unwrap().account_id)
    }

    /// Ana, Ben and Gil, with a request each of whom the first and the last are.
    async fn with_owners(&self) -> [Client; 3] {
        let (ana, ben) = (self.stage.sign_in("acme", "ana").await, self.stage.sign_in("acme", "ben").await);
        let gil = self.stage.sign_in("globex", "gil").await;
        self.stage.raise(&ana, "acme's printer").await;
        assert_eq!(self.stage.sees(&ben).await, ["acme's printer"]);
        self.stage.raise(&gil, "globex's laser").await;
        [ana, ben, gil]
    }

    /// The owners have noticed nothing: they see what they saw, in the accounts that they had.
    async fn is_as_before(&self, [ana, ben, gil]: &[Client; 3]) {
        for (browser, expected) in [(ana, "acme's printer"), (ben, "acme's printer"), (gil, "globex's laser")] {
            assert_eq!(self.stage.sees(browser).await, [expected]);
        }
        for email in [ANA, BEN, GIL] {
            assert_eq!(self.jsm().customers_created(email), 1, "{email}");
        }
        for (email, organization) in [(ANA, "Acme"), (BEN, "Acme"), (GIL, "Globex")] {
            assert_eq!(self.organizations(email), [organization], "{email}");
        }
    }

    /// Somebody comes whose provider tells this address; gives what the visitor reads who is refused at once.
    async fn come_as(&self, company: &str, person: &str, email: &str) -> Result<Client, String> {
        self.stage.says(company, "email", json!(email));
        let (browser, returned) = self.stage.come(company, person).await;
        match returned.status().as_u16() {
            303 => Ok(browser),
            status => Err(format!("{status} {}", returned.text().await.unwrap())),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_company_sees_its_own_requests_at_cloud() {
    let cloud = start("").await;
    let stage = &cloud.stage;
    let [_, ben, gil] = cloud.with_owners().await;
    let gwen = stage.sign_in("globex", "gwen").await;
    assert_eq!(stage.sees(&gwen).await, ["globex's laser"]);
    let of_gil = stage.raise(&gil, "globex's keys").await;
    let page = format!("{}/{of_gil}", stage.portal());
    assert_eq!(stage.open(&gwen, &page).await.status(), 200);
    assert_eq!(stage.open(&ben, &page).await.status(), 404, "another company does not learn that it exists");
    assert_eq!(cloud.organizations("gwen@globex.com"), ["Globex"]);
    assert_eq!(cloud.organizations(ANA), ["Acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_provider_puts_anybody_in_the_place_of_anothers_customer_at_cloud() {
    let cloud = start("").await;
    let (stage, owners) = (&cloud.stage, cloud.with_owners().await);
    for (company, person) in [("acme", "spy"), ("partner", "mallory")] {
        let (_, refused) = stage.come(company, person).await;
        assert_eq!(refused.status(), 403, "{company} does not speak for that domain");
    }
    let pia = stage.sign_in("partner", "pia").await;
    stage.raise(&pia, "pia's own").await;
    // The same address by another issuer, in the same letters and in others, and by another person of the same issuer.
    for (company, person, email) in [
        ("freelance", "otto", "pia@partner.test"),
        ("freelance", "otto", "PIA@Partner.TEST"),
        ("partner", "mallory", "pia@partner.test"),
    ] {
        let taker = cloud.come_as(company, person, email).await.unwrap();
        let refused = stage.open(&taker, &stage.portal()).await;
        assert_eq!(refused.status(), 403, "{company} {email}");
        let page = refused.text().await.unwrap();
        assert!(page.contains("This customer account belongs to another sign-in"), "{page}");
        assert_eq!(stage.tries_to_see(&taker).await, Err("account_bound_to_another".to_owned()), "{company} {email}");
    }
    assert_eq!(stage.sees(&pia).await, ["pia's own"]);
    assert_eq!((cloud.jsm().customers_created("pia@partner.test"), cloud.jsm().logins("pia@partner.test")), (1, 1));
    // The owner herself, in other letters, is who she was.
    let again = cloud.come_as("partner", "pia", "Pia@Partner.Test").await.unwrap();
    assert_eq!(stage.sees(&again).await, ["pia's own"]);
    // A group that names another company's organization.
    let cuckoo = stage.sign_in("acme", "cuckoo").await;
    assert_eq!(stage.sees(&cuckoo).await, ["acme's printer"]);
    assert_eq!(cloud.organizations("cuckoo@acme.com"), ["Acme"]);
    cloud.is_as_before(&owners).await;
    let refused = "vestibule_customer_provisioning_total{portal=\"localhost\",result=\"takeover_refused\"} 3";
    assert!(stage.counts(refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_alike_of_an_address_is_nobody_elses_account_at_cloud() {
    let cloud = start("").await;
    let (stage, owners) = (&cloud.stage, cloud.with_owners().await);
    for (company, email) in [
        ("acme", "\u{430}na@acme.com"),     // Cyrillic, before the at sign
        ("partner", "\u{ff41}na@acme.com"), // full width: some software folds it into "ana"
        ("acme", "ana@\u{430}cme.com"),     // Cyrillic, behind it: another domain than Acme's
        ("partner", "ana@\u{ff41}cme.com"), // full width: by IDNA, this is Acme's very domain
        ("partner", "ana@acme.com."),       // the same domain, with its root
        ("partner", "ana@ACME.com"),
        ("partner", "ana@acme.com@partner.test"),
        ("partner", "ana@partner.test@acme.com"),
        ("partner", "\"ana@acme.com\"@partner.test"),
        ("partner", "ana@acme.com\u{0}@partner.test"),
        ("partner", "ana@acme.com,x@partner.test"),
        ("partner", "Ana <ana@acme.com>"),
        ("partner", " ana@acme.com "),
        ("partner", "ana\u{200b}@acme.com"),
        ("partner", ""),
    ] {
        let person = if company == "acme" { "cuckoo" } else { "mallory" };
        let refused = cloud.come_as(company, person, email).await;
        assert!(matches!(&refused, Err(page) if page.starts_with("403")), "{email:?}: {refused:?}");
    }
    // A domain that only looks like Acme's is nobody's to list: who proves an address there has an account of their own.
    let own = cloud.come_as("partner", "mallory", "ana@\u{430}cme.com").await.unwrap();
    assert!(stage.sees(&own).await.is_empty());
    assert!(cloud.jsm().customer("ana@xn--cme-5cd.com").is_some());
    assert!(cloud.organizations("ana@xn--cme-5cd.com").is_empty());
    cloud.is_as_before(&owners).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_an_agent_or_an_unconfirmed_one_leads_nowhere_at_cloud() {
    let cloud = start("").await;
    let (stage, owners) = (&cloud.stage, cloud.with_owners().await);
    let agent = "agent@partner.test";
    cloud.jsm().add_account(AccountType::Atlassian, agent, "An Agent").unwrap();
    let posing = cloud.come_as("partner", "mallory", agent).await.unwrap();
    let refused = stage.open(&posing, &stage.portal()).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await.unwrap().contains("You already have an Atlassian account"));
    assert_eq!(stage.tries_to_see(&posing).await, Err("atlassian_account".to_owned()));
    assert_eq!((cloud.jsm().customers_created(agent), cloud.jsm().sessions_of(agent)), (0, 0));
    // The service account's own address, which administers the site.
    let posing = cloud.come_as("partner", "mallory", SERVICE_ACCOUNT).await.unwrap();
    assert_eq!(stage.tries_to_see(&posing).await, Err("atlassian_account".to_owned()));
    stage.says("partner", "email_verified", json!(false));
    let (_, refused) = stage.come("partner", "pia").await;
    assert_eq!(refused.status(), 403);
    assert!(cloud.jsm().customer("pia@partner.test").is_none());
    cloud.is_as_before(&owners).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_at_the_provider_takes_no_others_account_at_cloud() {
    for (rule, free, others) in [
        ("keep", Ok("acme's printer"), Ok("acme's printer")),
        ("follow", Ok("acme's printer"), Err("account_bound_to_another")),
        ("refuse", Err("email_changed"), Err("email_changed")),
    ] {
        let cloud = start(&format!("      on_email_change: {rule}\n")).await;
        let (stage, owners) = (&cloud.stage, cloud.with_owners().await);
        let ben_s = cloud.jsm().customer(BEN).unwrap().account_id;
        // To another company's address: that is refused before anybody asks for an account.
        let refused = cloud.come_as("acme", "ana", GIL).await;
        assert!(matches!(&refused, Err(page) if page.starts_with("403")), "{rule}: {refused:?}");
        // To Ben's: what Ana sees then is hers, or nothing.
        let posing = cloud.come_as("acme", "ana", BEN).await.unwrap();
        let seen = stage.tries_to_see(&posing).await;
        let expected = others.map(|summary| vec![summary.to_owned()]).map_err(str::to_owned);
        assert_eq!(seen, expected, "{rule}: Ben's address");
        assert_eq!(cloud.jsm().logins(BEN), 1, "{rule}: nobody but Ben was signed on to his account");
        assert_eq!(cloud.jsm().customer(BEN).unwrap().account_id, ben_s);
        cloud.is_as_before(&owners).await;
        // To one that nobody has.
        let moved = cloud.come_as("acme", "ana", "ana.lima@acme.com").await.unwrap();
        let expected = free.map(|summary| vec![summary.to_owned()]).map_err(str::to_owned);
        assert_eq!(stage.tries_to_see(&moved).await, expected, "{rule}: a new address");
        let made = cloud.jsm().customers_created("ana.lima@acme.com");
        assert_eq!(made, u64::from(rule == "follow"), "{rule}: Cloud has no call that changes an address");
    }
}
