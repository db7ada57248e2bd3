//! What handlers ask of a call before they look at it: a person, a right, a header, a body, parameters.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::request::Parts;
use http::{StatusCode, header};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize as _, Deserializer};

use super::JsmCloud;
use super::accounts::Role;
use super::guard::Visitor;
use super::html::percent;
use super::problem::Problem;

fn visitor_of(parts: &Parts) -> Visitor {
    parts.extensions.get::<Visitor>().cloned().unwrap_or_default()
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(visitor_of(parts))
    }
}

/// Somebody who opens a page with a session; others are sent to the login.
pub(super) struct SignedIn {
    pub(super) account: String,
    pub(super) visitor: Visitor,
}

impl FromRequestParts<JsmCloud> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, jsm: &JsmCloud) -> Result<Self, Problem> {
        let visitor = visitor_of(parts);
        match visitor.account.clone() {
            Some(account) => Ok(Self { account, visitor }),
            None => {
                let wanted = parts.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
                let state = jsm.state();
                let wanted = percent(&state.url(wanted));
                Err(Problem::Found(state.url(&format!("/servicedesk/customer/user/login?destination={wanted}"))))
            }
        }
    }
}

/// Somebody who calls REST, by a session or by a token; others get 401.
pub(super) struct Caller {
    pub(super) account: String,
    /// The site as this caller sees it.
    pub(super) base: String,
    pub(super) role: Role,
}

impl FromRequestParts<JsmCloud> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, jsm: &JsmCloud) -> Result<Self, Problem> {
        let visitor = visitor_of(parts);
        let sentence = "You are not authenticated. Authentication required to perform this operation.";
        let stranger = || match is_platform(parts) {
            true => Problem::Platform(StatusCode::UNAUTHORIZED, sentence.to_owned()),
            false => Problem::Desk(StatusCode::UNAUTHORIZED, "sd.error.unauthenticated", sentence.to_owned()),
        };
        let account = visitor.account.ok_or_else(stranger)?;
        let role = jsm.state().account(&account).map(|account| account.role).ok_or_else(stranger)?;
        Ok(Self { account, base: visitor.base, role })
    }
}

/// Behind the API host the path was rewritten, so this holds there too.
fn is_platform(parts: &Parts) -> bool {
    parts.uri.path().starts_with("/rest/api/")
}

fn forbidden(platform: bool) -> Problem {
    let sentence = "You do not have permission to perform this operation.".to_owned();
    match platform {
        true => Problem::Platform(StatusCode::FORBIDDEN, sentence),
        false => Problem::Desk(StatusCode::FORBIDDEN, "sd.error.forbidden", sentence),
    }
}

/// An agent or administrator who calls REST.
pub(super) struct Staff(pub(super) Caller);

impl FromRequestParts<JsmCloud> for Staff {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, jsm: &JsmCloud) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, jsm).await?;
        if caller.role >= Role::Agent { Ok(Self(caller)) } else { Err(forbidden(is_platform(parts))) }
    }
}

/// An administrator who calls REST.
pub(super) struct Admin(pub(super) Caller);

impl FromRequestParts<JsmCloud> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, jsm: &JsmCloud) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, jsm).await?;
        if caller.role == Role::Administrator { Ok(Self(caller)) } else { Err(forbidden(is_platform(parts))) }
    }
}

/// The header that experimental calls ask for.
pub(super) struct OptIn;

impl<S: Sync> FromRequestParts<S> for OptIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let said = parts.headers.get("x-experimentalapi").is_some_and(|value| value == "opt-in" || value == "true");
        let sentence = "This API is experimental. Send the header X-ExperimentalApi: opt-in to use it.";
        said.then_some(Self)
            .ok_or_else(|| Problem::Desk(StatusCode::PRECONDITION_FAILED, "sd.error.experimental", sentence.to_owned()))
    }
}

/// The parameters of the query; one that the call does not know is refused.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Query::<T>::try_from_uri(&parts.uri)
            .map(|Query(found)| Self(found))
            .map_err(|_| Problem::bad("A parameter of the query is unknown, or is not what it has to be."))
    }
}

/// A boolean as the query writes it, in any case, as the platform reads it.
pub(super) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    let text = String::deserialize(from)?.to_ascii_lowercase();
    text.parse().map(Some).map_err(|_| D::Error::custom("neither true nor false"))
}

/// A JSON body; a field that the call does not know is refused.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("application/json") {
            return Err(Problem::Plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported Media Type", None));
        }
        let platform = request.uri().path().starts_with("/rest/api/");
        let unreadable = |status| match platform {
            true => {
                Problem::Platform(status, "Invalid request payload. Refer to the REST API documentation.".to_owned())
            }
            false => {
                let sentence = "Invalid request payload. Refer to the REST API documentation and try again.";
                Problem::Desk(status, "sd.error.payload", sentence.to_owned())
            }
        };
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|_| unreadable(StatusCode::PAYLOAD_TOO_LARGE))?;
        serde_json::from_slice(&body).map(Self).map_err(|_| unreadable(StatusCode::BAD_REQUEST))
    }
}
