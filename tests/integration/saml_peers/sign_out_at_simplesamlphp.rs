//! Single logout with SimpleSAMLphp, begun here and begun there. It verifies our messages, and signs its own.

use serde_json::json;

use super::gateway::{Provider, SIGNED_IN, SamlGateway};
use super::simplesamlphp::{SimpleSamlPhp, names_by, with};
use super::visitor::Visitor;

const EMAIL: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";

async fn both() -> (SimpleSamlPhp, SamlGateway) {
    let peer = SimpleSamlPhp::start("A").await;
    let signed = json!({"validate.authnrequest": true, "validate.logout": true, "sign.logout": true});
    peer.set(&with(names_by("mail", EMAIL), signed));
    let lines = "      sign_out_at_provider: true\n";
    let gateway = SamlGateway::start(&[Provider { name: "a", metadata: &peer.metadata(), lines }]).await;
    peer.know(&gateway.metadata("a").await);
    (peer, gateway)
}

async fn signs_in(gateway: &SamlGateway, login: &str) -> Visitor {
    let mut visitor = gateway.visitor();
    visitor.open(&format!("{}/private", gateway.origin())).await;
    visitor.submit(&[("username", login), ("password", login)]).await;
    visitor.submit(&[]).await;
    assert_eq!(visitor.page, SIGNED_IN, "{} {}", visitor.status, visitor.at);
    visitor
}

/// Whether the gateway still knows the visitor; if not, whether the provider does.
async fn known(gateway: &SamlGateway, visitor: &mut Visitor) -> (bool, bool) {
    visitor.open(&format!("{}/private", gateway.origin())).await;
    let here = visitor.page == SIGNED_IN;
    (here, here || !visitor.page.contains("name=\"username\""))
}

/// Where SimpleSAMLphp's own sign-out begins.
fn sign_out_at(peer: &SimpleSamlPhp) -> String {
    format!("{0}/saml2/idp/SingleLogoutService.php?ReturnTo={0}/logout.php", peer.base)
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_here_signs_out_at_simplesamlphp() {
    let (peer, gateway) = both().await;
    let (mut ana, mut ben) = (signs_in(&gateway, "ana").await, signs_in(&gateway, "ben").await);
    ana.open(&format!("{}/.vestibule/sign-out", gateway.origin())).await;
    ana.submit(&[]).await;
    if ana.page.contains("http-equiv=\"refresh\"") {
        ana.go_on().await;
    }
    assert!(ana.at.as_str().starts_with(&gateway.origin()), "{}: {}", ana.at, ana.page);
    assert!(ana.page.contains("You are signed out"), "{}: {}", ana.at, ana.page);
    assert_eq!(known(&gateway, &mut ana).await, (false, false));
    assert_eq!(known(&gateway, &mut ben).await, (true, true));
    assert!(!peer.log().contains("ERR"), "{}", peer.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_at_simplesamlphp_ends_that_session_here_and_no_other() {
    let (peer, gateway) = both().await;
    let (mut ana, mut ana_elsewhere) = (signs_in(&gateway, "ana").await, signs_in(&gateway, "ana").await);
    let mut ben = signs_in(&gateway, "ben").await;
    ana.open(&sign_out_at(&peer)).await;
    assert!(ana.at.as_str().starts_with(&format!("{}/logout.php", peer.base)), "{}: {}", ana.at, ana.page);
    assert_eq!(known(&gateway, &mut ana).await, (false, false));
    assert_eq!(known(&gateway, &mut ana_elsewhere).await, (true, true));
    assert_eq!(known(&gateway, &mut ben).await, (true, true));
    assert!(!peer.log().contains("Unable to log out"), "{}", peer.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a69_an_unsigned_logout_of_simplesamlphp_changes_nothing() {
    let (peer, gateway) = both().await;
    peer.set(&with(names_by("mail", EMAIL), json!({"sign.logout": false})));
    let mut ana = signs_in(&gateway, "ana").await;
    ana.open(&sign_out_at(&peer)).await;
    let refused = format!("{}/.vestibule/saml/a/slo?SAMLRequest=", gateway.origin());
    assert!(ana.at.as_str().starts_with(&refused), "{}", ana.at);
    assert_eq!(ana.status, 400, "{}", ana.page);
    assert!(known(&gateway, &mut ana).await.0, "the session here goes on");
}
