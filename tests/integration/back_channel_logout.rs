//! Back-channel logout by an OpenID provider (security cases B40 to B59).

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use vestibule::clock::Clock;

use crate::harness::{Options, TestGateway, location, navigate, set_cookies};
use crate::recorder::{Answer, Recorder};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

struct Stage {
    gateway: TestGateway,
    _recorder: Recorder,
}

async fn start() -> Stage {
    let recorder = Recorder::start(Answer::default()).await;
    Stage { gateway: TestGateway::start(Options::plain(recorder.address)).await, _recorder: recorder }
}

impl Stage {
    /// A signed-in browser, and `sub` and `sid` of its ID token.
    async fn sign_in(&self, person: &str) -> (reqwest::Client, String, String) {
        let seen = Arc::new(Mutex::new(Value::Null));
        let keep = Arc::clone(&seen);
        self.gateway.provider.alter_next_id_token(move |parts| *keep.lock().unwrap() = parts.claims.clone().into());
        let client = self.gateway.client();
        self.gateway.sign_in(&client, person).await;
        let claims = seen.lock().unwrap().clone();
        let text = |name: &str| claims[name].as_str().unwrap().to_owned();
        (client, text("sub"), text("sid"))
    }

    /// Has the provider sign somebody in; gives the address that takes them back to the gateway.
    async fn approved(&self, client: &reqwest::Client, person: &str) -> String {
        let stopped = navigate(client, &format!("{}/private", self.gateway.origin())).await;
        let approved = client.get(format!("{}&login_hint={person}", location(&stopped))).send().await.unwrap();
        location(&approved)
    }

    /// The next ID token is of a session at the provider that is called so.
    fn under_way(&self) {
        self.gateway.provider.alter_next_id_token(|parts| {
            parts.claims.insert("sid".into(), "under way".into());
        });
    }

    async fn is_signed_in(&self, client: &reqwest::Client) -> bool {
        navigate(client, &format!("{}/private", self.gateway.origin())).await.status() == 200
    }

    fn claims(&self, changes: &Value) -> Value {
        let now = Clock::System.now().seconds();
        let mut claims = json!({
            "iss": self.gateway.provider.issuer(), "aud": "vestibule", "iat": now, "exp": now + 120, "events": { EVENT: {} },
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims
    }

    fn token(&self, changes: &Value) -> String {
        self.gateway.provider.sign_logout_token(&self.claims(changes)).unwrap()
    }

    fn address(&self) -> String {
        format!("{}/.vestibule/oidc/acme/back-channel-logout", self.gateway.origin())
    }

    /// As the provider's server posts it.
    async fn post(&self, token: &str) -> u16 {
        let request = self.gateway.client().post(self.address()).form(&[("logout_token", token)]);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        answer.status().as_u16()
    }

    fn counted(&self, begun: &str, result: &str) -> bool {
        let line = format!("vestibule_single_logouts_total{{begun=\"{begun}\",provider=\"acme\",result=\"{result}\"}}");
        self.gateway.metrics().contains(&line)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b40_b56_exactly_the_named_sessions_end() {
    let stage = start().await;
    let (first, sub, sid) = stage.sign_in("ana").await;
    let (second, ..) = stage.sign_in("ana").await;
    let (ben, ..) = stage.sign_in("ben").await;
    assert_eq!(stage.post(&stage.token(&json!({"jti": "1", "sid": sid, "sub": sub}))).await, 200);
    assert!(!stage.is_signed_in(&first).await);
    assert!(stage.is_signed_in(&second).await, "another session at the provider");
    assert!(stage.is_signed_in(&ben).await);
    let (third, ..) = stage.sign_in("ana").await;
    assert_eq!(stage.post(&stage.token(&json!({"jti": "2", "sub": sub}))).await, 200);
    assert!(!stage.is_signed_in(&second).await && !stage.is_signed_in(&third).await, "all of that person");
    assert!(stage.is_signed_in(&ben).await);
    assert!(stage.counted("provider", "ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn b44_to_b58_what_is_not_meant_for_us_or_names_nobody_here_ends_nothing() {
    let stage = start().await;
    let (ana, sub, sid) = stage.sign_in("ana").await;
    let (_, other_sub, _) = stage.sign_in("ben").await;
    let good = json!({"jti": "good", "sid": sid});
    for (row, changes) in [
        ("another issuer", json!({"iss": "https://evil.example", "sid": sid, "jti": "a"})),
        ("another client", json!({"aud": "somebody", "sid": sid, "jti": "b"})),
        ("no event", json!({"events": {}, "sid": sid, "jti": "c"})),
        ("a nonce", json!({"nonce": "n", "sid": sid, "jti": "d"})),
        ("nobody", json!({"jti": "e"})),
        ("no jti", json!({"sid": sid})),
        ("old", json!({"iat": 1, "sid": sid, "jti": "f"})),
    ] {
        assert_eq!(stage.post(&stage.token(&changes)).await, 400, "{row}");
    }
    let token = stage.token(&good);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let damaged = if signature.starts_with('A') { "B" } else { "A" };
    assert_eq!(stage.post(&format!("{head}.{damaged}{}", &signature[1..])).await, 400);
    assert!(stage.counted("unknown", "logout_token_refused"));
    // B55, B58: believed, and nobody here is meant. Nothing tells so.
    assert_eq!(stage.post(&stage.token(&json!({"jti": "g", "sid": "unknown"}))).await, 200);
    assert_eq!(stage.post(&stage.token(&json!({"jti": "h", "sid": sid, "sub": other_sub}))).await, 200);
    assert!(stage.counted("provider", "nobody_was_signed_in"));
    assert!(stage.is_signed_in(&ana).await);
    // B52: once, and used up by another session than that of today.
    assert_eq!(stage.post(&token).await, 200);
    assert!(!stage.is_signed_in(&ana).await);
    assert_eq!(stage.post(&token).await, 400);
    assert!(stage.counted("unknown", "logout_token_replayed"));
    let _ = sub;
}

#[tokio::test(flavor = "multi_thread")]
async fn b54_b59_it_is_posted_in_one_way_and_no_cookie_counts() {
    let stage = start().await;
    let (ana, _, sid) = stage.sign_in("ana").await;
    let token = stage.token(&json!({"jti": "1", "sid": sid}));
    let (client, address) = (stage.gateway.client(), stage.address());
    let form = "application/x-www-form-urlencoded";
    let twice = format!("logout_token={token}&logout_token={token}");
    let rows: Vec<(&str, reqwest::RequestBuilder, u16)> = vec![
        ("GET", client.get(format!("{address}?logout_token={token}")), 404),
        ("PUT", client.put(&address).header("content-type", form).body(format!("logout_token={token}")), 404),
        ("JSON", client.post(&address).json(&json!({"logout_token": token})), 400),
        ("in the address", client.post(format!("{address}?logout_token={token}")).header("content-type", form), 400),
        ("two", client.post(&address).header("content-type", form).body(twice), 400),
        ("none", client.post(&address).header("content-type", form), 400),
        ("1 MB", client.post(&address).form(&[("logout_token", "A".repeat(1 << 20))]), 413),
        ("no such provider", client.post(address.replace("acme", "other")).form(&[("logout_token", &token)]), 404),
        // The visitor's own browser, sent here by another site, with somebody else's token that is not one.
        (
            "cookies",
            ana.post(&address).header("origin", "https://evil.example").form(&[("logout_token", "x.y.z")]),
            400,
        ),
    ];
    for (row, request, status) in rows {
        match request.send().await {
            Ok(answer) => assert_eq!(answer.status().as_u16(), status, "{row}"),
            Err(error) => assert_eq!(status, 413, "{row}: {error}"), // a refused upload may be cut off before its end
        }
    }
    assert!(stage.is_signed_in(&ana).await);
    assert_eq!(stage.post(&token).await, 200, "none of that has used it up");
    assert!(!stage.is_signed_in(&ana).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn b57_a_logout_that_comes_before_its_callback_keeps_the_session_from_being_opened() {
    let stage = start().await;
    let (first, sub, _) = stage.sign_in("ana").await;
    for (row, names) in [
        ("by session", json!({"jti": "1", "sid": "under way"})),
        ("by person and session", json!({"jti": "2", "sid": "under way", "sub": sub})),
        ("by person", json!({"jti": "3", "sub": sub})),
    ] {
        let (ana, ben) = (stage.gateway.client(), stage.gateway.client());
        let (of_ana, of_ben) = (stage.approved(&ana, "ana").await, stage.approved(&ben, "ben").await);
        assert_eq!(stage.post(&stage.token(&names)).await, 200, "{row}");
        stage.under_way();
        let refused = navigate(&ana, &of_ana).await;
        assert_eq!(refused.status(), 403, "{row}");
        assert!(set_cookies(&refused).iter().all(|cookie| !cookie.starts_with("__Host-vestibule=")), "{row}");
        assert!(refused.text().await.unwrap().contains("You are not signed in"), "{row}");
        assert!(!stage.is_signed_in(&ana).await, "{row}");
        assert_eq!(navigate(&ben, &of_ben).await.status(), 303, "{row}: somebody else is not meant");
        // Once more, from the start: then it is another sign-in, even of the same session at the provider.
        let of_ana = stage.approved(&ana, "ana").await;
        stage.under_way();
        assert_eq!(navigate(&ana, &of_ana).await.status(), 303, "{row}");
        assert!(stage.is_signed_in(&ana).await, "{row}");
    }
    let counted = "vestibule_sign_ins_total{provider=\"acme\",result=\"session_ended_meanwhile\"} 3";
    assert!(stage.gateway.metrics().contains(counted), "{}", stage.gateway.metrics());
    assert!(!stage.is_signed_in(&first).await, "and the sessions that were there have ended as ever");
    // Another session of hers, or one of the same name elsewhere, is none of this.
    for names in [json!({"jti": "4", "sid": "another"}), json!({"jti": "5", "sid": "under way", "sub": "somebody"})] {
        let ana = stage.gateway.client();
        let of_ana = stage.approved(&ana, "ana").await;
        assert_eq!(stage.post(&stage.token(&names)).await, 200);
        stage.under_way();
        assert_eq!(navigate(&ana, &of_ana).await.status(), 303, "{names}");
    }
}
