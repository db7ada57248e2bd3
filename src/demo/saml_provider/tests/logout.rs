//! Single logout, begun on either side.

use super::*;
use crate::saml::binding::{Arrived, post, redirect};
use crate::saml::logout::{
    ExpectedLogout, LogoutRequest, LogoutResponse, ReceivedLogoutRequest, ReceivedLogoutResponse,
};
use crate::saml::message::MessageRefused;
use crate::saml::name_id::NameId;
use crate::saml::names::{STATUS_PARTIAL_LOGOUT, STATUS_RESPONDER};
use crate::saml::signature::SignaturePolicy;
use crate::saml::status::Status;

impl World {
    fn logout_request(&self, id: &str, name_id: &NameId, indexes: &[String], issuer: &str) -> Outgoing {
        let location = &self.description.logout_by(Binding::Redirect).unwrap().location;
        let request = LogoutRequest {
            id,
            issue_instant: self.clock.now(),
            destination: location,
            issuer,
            name_id,
            session_indexes: indexes,
            not_on_or_after: None,
            reason: None,
        };
        let key = test_keys::other(Kind::Rsa2048).signing_key();
        Outgoing::sign(Binding::Redirect, location, Direction::Request, request.to_element(), Some("r"), &key).unwrap()
    }

    fn logout_response(&self, in_response_to: &str, issuer: &str, status: Status<'_>) -> Outgoing {
        let location = &self.description.logout_by(Binding::Redirect).unwrap().location;
        let response = LogoutResponse {
            id: "_answer",
            issue_instant: self.clock.now(),
            destination: Some(location),
            issuer,
            in_response_to,
            status,
        };
        let key = test_keys::other(Kind::Rsa2048).signing_key();
        Outgoing::sign(Binding::Redirect, location, Direction::Response, response.to_element(), None, &key).unwrap()
    }

    /// The answer to our request, as a redirect or as a form.
    fn read_response(&self, answer: &Answer, id: &str, slo: &str) -> Result<ReceivedLogoutResponse, MessageRefused> {
        let arrived = arrived(answer)?;
        assert_eq!((arrived.direction, arrived.relay_state.as_deref()), (Direction::Response, Some("r")));
        let proven = arrived.verify(&self.keys(), SignaturePolicy::default())?;
        ReceivedLogoutResponse::read(&proven.xml()?, id, &self.expected(slo))
    }

    fn read_request(&self, answer: &Answer, slo: &str) -> ReceivedLogoutRequest {
        let proven = arrived(answer).unwrap().verify(&self.keys(), SignaturePolicy::default()).unwrap();
        ReceivedLogoutRequest::read(&proven.xml().unwrap(), &[], &self.expected(slo)).unwrap()
    }

    fn expected<'a>(&'a self, slo: &'a str) -> ExpectedLogout<'a> {
        ExpectedLogout {
            issuer: &self.description.entity_id,
            destination: slo,
            binding: Binding::Redirect,
            now: self.clock.now(),
            skew: Duration::from_secs(60),
        }
    }
}

fn arrived(answer: &Answer) -> Result<Arrived, MessageRefused> {
    match &answer.location {
        Some(location) => redirect::read(location.split_once('?').unwrap().1),
        None => {
            let name = if answer.text.contains("SAMLRequest") { "SAMLRequest" } else { "SAMLResponse" };
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair(name, &answer.field(name));
            if answer.text.contains("RelayState") {
                form.append_pair("RelayState", &answer.field("RelayState"));
            }
            post::read(form.finish().as_bytes())
        }
    }
}

fn automatic() -> Settings {
    Settings::default().approve_automatically("gina")
}

#[tokio::test]
async fn a_service_provider_ends_the_session_that_it_names() {
    for logout_by in [Binding::Redirect, Binding::Post] {
        let world = World::start(Settings { logout_by, ..automatic() }).await;
        let who = world.signed_in("_1").await;
        let indexes = who.session_indexes.clone();
        let other = NameId { value: "eve".into(), ..who.name_id.clone() };
        for (id, name_id, indexes) in
            [("_a", &other, indexes.clone()), ("_b", &who.name_id, vec!["_another".to_owned()])]
        {
            let answer = world.take(world.logout_request(id, name_id, &indexes, SP)).await;
            assert!(world.read_response(&answer, id, SLO).unwrap().status.is_success());
            assert_eq!(world.provider.signed_in(), 1);
        }
        let request = world.logout_request("_c", &who.name_id, &indexes, SP);
        let answer = world.take(request.clone()).await;
        assert!(world.read_response(&answer, "_c", SLO).unwrap().status.is_success());
        assert_eq!(world.provider.signed_in(), 0);
        world.take(request).await.is_refused("used before");
    }
}

#[tokio::test]
async fn nobody_ends_sessions_of_others_and_nothing_unsigned_does() {
    let world = World::start(automatic()).await;
    let who = world.signed_in("_1").await;
    let answer = world.take(world.logout_request("_a", &who.name_id, &[], OTHER_SP)).await;
    assert!(world.read_response(&answer, "_a", "https://other.test/slo").is_ok());
    let Outgoing::Redirect(address) = world.logout_request("_b", &who.name_id, &[], SP) else { panic!() };
    let bare = address.split("&SigAlg=").next().unwrap().to_owned();
    world.take(Outgoing::Redirect(bare)).await.is_refused("not signed");
    world.take(world.logout_request("_c", &who.name_id, &[], "https://evil.test")).await.is_refused("not known");
    assert_eq!(world.provider.signed_in(), 1);
}

#[tokio::test]
async fn its_own_page_signs_out_everywhere() {
    for (status, everywhere) in
        [(Status::SUCCESS, true), (Status::of(STATUS_RESPONDER, Some(STATUS_PARTIAL_LOGOUT)), false)]
    {
        let world = World::start(automatic()).await;
        let who = world.signed_in("_1").await;
        world
            .take(world.request("_2", Binding::Redirect, |request| {
                request.issuer = OTHER_SP;
                request.acs = Acs::Index(0);
            }))
            .await;
        let page = world.get("logout").await;
        let next = world.post("logout/confirm", &[("handle", &page.field("handle"))]).await;
        assert_eq!(world.provider.signed_in(), 0);
        let request = world.read_request(&next, "https://other.test/slo");
        assert_eq!((request.name_id.value.as_str(), request.session_indexes.len()), ("gina", 1));
        // The answer of somebody else, or to something else, moves nothing.
        let foreign = world.logout_response(&request.head.id, "https://evil.test", Status::SUCCESS);
        world.take(foreign).await.is_refused("not known");
        world.take(world.logout_response("_nothing", OTHER_SP, Status::SUCCESS)).await.is_refused("under way");
        let next = world.take(world.logout_response(&request.head.id, OTHER_SP, status)).await;
        let request = world.read_request(&next, SLO);
        assert_eq!(request.name_id, who.name_id);
        let end = world.take(world.logout_response(&request.head.id, SP, Status::SUCCESS)).await;
        assert_eq!(end.text.contains("signed out everywhere"), everywhere, "{}", end.text);
        world.take(world.logout_response(&request.head.id, SP, Status::SUCCESS)).await.is_refused("under way");
    }
}

#[tokio::test]
async fn others_are_told_before_the_one_who_asked_is_answered() {
    let world = World::start(automatic()).await;
    let who = world.signed_in("_1").await;
    world
        .take(world.request("_2", Binding::Redirect, |request| {
            request.issuer = OTHER_SP;
            request.acs = Acs::Index(0);
        }))
        .await;
    let next = world.take(world.logout_request("_a", &who.name_id, &[], SP)).await;
    let request = world.read_request(&next, "https://other.test/slo");
    let answer =
        world.take(world.logout_response(&request.head.id, OTHER_SP, Status::of(STATUS_RESPONDER, None))).await;
    let response = world.read_response(&answer, "_a", SLO).unwrap();
    assert!(response.status.says(STATUS_PARTIAL_LOGOUT) && !response.status.is_success());
}

#[tokio::test]
async fn tests_can_make_it_answer_badly() {
    for (conduct, told) in [
        (LogoutConduct::Honest, Some(Ok(true))),
        (LogoutConduct::Partial, Some(Ok(false))),
        (LogoutConduct::Fails, Some(Ok(false))),
        (LogoutConduct::Unsigned, Some(Err(MessageRefused::Unsigned))),
        (LogoutConduct::AnswersAnother, Some(Err(MessageRefused::InResponseTo))),
        (LogoutConduct::Silent, None),
    ] {
        let world = World::start(automatic()).await;
        let who = world.signed_in("_1").await;
        world.provider.set_logout_conduct(conduct);
        let answer = world.take(world.logout_request("_a", &who.name_id, &[], SP)).await;
        let Some(told) = told else {
            assert_eq!((answer.status, answer.location), (200, None));
            continue;
        };
        let read = world.read_response(&answer, "_a", SLO).map(|response| response.status.is_success());
        assert_eq!(read, told, "{conduct:?}");
    }
}
