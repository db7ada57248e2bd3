//! WebSockets by Python's `websockets` at both ends, with the gateway between them: `tests/peers/websockets`. The test suite of
//! Autobahn runs on Python 2 alone, which Debian has no more.

use serde_json::json;

use crate::harness::{Options, TestGateway, eventually};
use crate::http2_peers::peer;

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_speak_as_if_nothing_stood_between_them() {
    let mut script = peer("websockets/peer.py", &json!({}));
    let port = script.answer().await["port"].as_u64().unwrap();
    let gateway = TestGateway::start(Options::plain(([127, 0, 0, 1], u16::try_from(port).unwrap()).into())).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let told = json!({
        "url": format!("{}/private/socket", gateway.origin().replace("https:", "wss:")),
        "ca": gateway.folder.path().join("cert.pem"),
        "cookie": format!("__Host-vestibule={session}"),
        "origin": gateway.origin(),
        "upstream": format!("http://127.0.0.1:{port}"),
    });
    script.tell(&told).await;
    let mut cases = 0;
    loop {
        let line = script.answer().await;
        if let Some(done) = line.get("done") {
            assert_eq!(done.as_u64(), Some(cases));
            break;
        }
        cases += 1;
        println!("{}", line["case"].as_str().unwrap());
        assert!(line["error"].is_null(), "{}: {}", line["case"], line["error"].as_str().unwrap());
    }
    script.stop().await;
    assert!(cases >= 18, "{cases}");
    let none = || gateway.metrics().contains("vestibule_exchanges_in_flight 0");
    eventually("no tunnel is left open", none).await;
}
