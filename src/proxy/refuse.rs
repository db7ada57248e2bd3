//! From a fault to a refusal, and from a refusal to its answer: a page, or JSON.

use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::{Method, StatusCode};
use pingora::{Error, ErrorSource, ErrorType};

use super::context::{RequestCtx, Stage};
use super::endpoints::password::claim_page;
use super::hand_over;
use crate::clock::Timestamp;
use crate::customer::{BrokerFailed, CustomerFailed, DirectoryFailed, UpstreamFailed};
use crate::limits::NotCounted;
use crate::pages::{
    self, Actions, CLAIM_PASSWORD, Explanation, Form, FormTargets, Language, LocalHref, Notice, Retry, SiteLink, Wants,
    Ways,
};
use crate::portal::Malformed;
use crate::portal::settings::{Elsewhere, OtherAccounts};
use crate::refusal::{Again, Blame, Later, Offer, Reason, Refusal};
use crate::reply::Reply;
use crate::session::OpenError;
use crate::sign_in::oidc::rejected::ProviderFault;
use crate::sign_in::saml::{LogoutRejected, SamlSignInRejected};
use crate::sign_in::{LogoutTokenRejected, OidcRejected, SignInRejected};
use crate::telemetry::Exchange;

/// The scheme of our sign-in, and where it begins.
const CHALLENGE: &str = "Vestibule sign_in=\"/.vestibule/sign-in\"";

/// Writes the refusal into the record.
pub fn record(refusal: &Refusal, exchange: &mut Exchange) {
    let reason = refusal.reason();
    exchange.refused(reason.status(), reason.label(), refusal.detail().map(str::to_owned));
}

/// The answer to a refused request.
pub fn reply(refusal: &Refusal, ctx: &RequestCtx) -> Reply {
    let reason = refusal.reason();
    let request_id = ctx.exchange.request_id();
    let language = Language::English;
    if ctx.wants == Wants::Json {
        let sentence = reason.explanation().texts(language).sentence;
        let way = |there: bool, path: &str| there.then(|| LocalHref::parse(path).ok()).flatten();
        let offer = reason.offer();
        let sign_in =
            way(matches!(offer, Offer::SignInAgain | Offer::SignInAnew | Offer::RepeatSignIn), "/.vestibule/sign-in");
        let password = way(offer == Offer::Password, CLAIM_PASSWORD);
        let kept = ctx.kept_at.as_deref().and_then(|path| LocalHref::parse(path).ok());
        let ways = Ways { sign_in: sign_in.as_ref(), password: password.as_ref(), kept: kept.as_ref() };
        let (status, label, later) = (reason.status(), reason.label(), reason.later());
        return with_challenge(pages::refusal_json(status, label, sentence, request_id, ways, later));
    }
    if reason.offer() == Offer::Password
        && let Some(claim) = claim_page_for(ctx)
    {
        return Reply::see_other(&claim);
    }
    let host = ctx.site.as_ref().map(|site| site.settings.host.as_str().to_owned());
    let contact = ctx.site.as_ref().and_then(|site| site.admission.contact());
    let contact = contact.filter(|_| reason.names_contact());
    let site = pages::Site { name: host.as_deref(), language, look: ctx.site.as_ref().map(|site| &site.look) };
    let elsewhere = hand_over::elsewhere(reason, ctx);
    if let Some(Elsewhere { address, other_accounts: OtherAccounts::HandOver }) = &elsewhere {
        return pages::hand_over(&site, address);
    }
    let notice = Notice {
        status: reason.status(),
        explanation: reason.explanation(),
        contact,
        later: reason.later(),
        request_id,
        actions: actions(reason.offer(), elsewhere.and_then(|elsewhere| SiteLink::to(&elsewhere.address))),
    };
    with_challenge(pages::refusal(&site, &notice))
}

/// A 401 says by which scheme one may get in (RFC 9110, section 15.5.2): ours, which browsers leave to pages and scripts.
fn with_challenge(reply: Reply) -> Reply {
    if reply.status() != StatusCode::UNAUTHORIZED {
        return reply;
    }
    reply.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))
}

/// Whoever was on the way to a page gives their password and gets there. What was sent is lost on that way: whoever sent
/// something is told.
fn claim_page_for(ctx: &RequestCtx) -> Option<String> {
    page_asked_for(ctx).map(|page| claim_page(&page))
}

/// The path and query of the page that somebody was on the way to, when the request was forwarded.
pub(super) fn page_asked_for(ctx: &RequestCtx) -> Option<String> {
    let Stage::Forwarding(forwarding) = &ctx.stage else { return None };
    let request = &forwarding.request;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD) && !request.is_websocket();
    reads.then(|| request.target())
}

fn actions(offer: Offer, the_site: Option<SiteLink>) -> Actions {
    let sign_in = LocalHref::parse("/.vestibule/sign-in").ok();
    match offer {
        Offer::Nothing => Actions::default(),
        Offer::Retry | Offer::RepeatSignIn => Actions { retry: Some(Retry::ThisPage), ..Actions::default() },
        Offer::SignInAgain => Actions { retry: sign_in.map(Retry::At), ..Actions::default() },
        Offer::SignInAnew => {
            let anew = LocalHref::parse("/.vestibule/sign-in?again").ok();
            Actions { retry: anew.map(Retry::At), ..Actions::default() }
        }
        Offer::SomebodyElse | Offer::TheSite => Actions {
            the_site,
            another_account: LocalHref::parse("/.vestibule/sign-out").ok().map(|action| Form {
                action,
                fields: vec![("then", "sign-in".to_owned())],
                targets: FormTargets::ours(),
            }),
            ..Actions::default()
        },
        Offer::Password => Actions { password: true, ..Actions::default() },
        Offer::Start => Actions { start: true, ..Actions::default() },
        Offer::SignInBeside => Actions { sign_in_beside: true, ..Actions::default() },
    }
}

/// What the customer part could not do.
pub fn customer_refusal(failed: &CustomerFailed) -> Refusal {
    let passing = !failed.is_about_the_account();
    let reason = Reason::CustomerSession { label: failed.reason(), passing, explanation: explain(failed) };
    Refusal::with_detail(reason, failed.to_string())
}

/// Why a request of a customer was not counted.
pub fn not_counted(failed: &NotCounted, now: Timestamp) -> Refusal {
    match failed {
        NotCounted::TooMany { limit, until } => {
            Reason::TooManyRequests { limit: *limit, later: Later::new(*until, now) }.into()
        }
        NotCounted::Log(failed) => {
            Refusal::with_detail(Reason::SessionStore { label: failed.label }, failed.message.clone())
        }
    }
}

/// What went wrong between the visitor and the upstream.
pub fn refusal_for(error: &Error, ctx: &mut RequestCtx) -> Refusal {
    if let Some(refusal) = ctx.forwarding().and_then(|forwarding| forwarding.refusal.take()) {
        return refusal;
    }
    let detail = error.etype().as_str().to_owned();
    let forwarding = matches!(ctx.stage, Stage::Forwarding(_));
    let reason = match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, ErrorType::Custom("InvalidChunk")) => Reason::Malformed(Malformed::Framing),
        (ErrorSource::Downstream, _) => Reason::VisitorGone,
        (_, ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout) => Reason::UpstreamTimeout,
        (
            _,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::ConnectProxyFailure
            | ErrorType::BindError
            | ErrorType::SocketError
            | ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::TLSWantX509Lookup
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError,
        ) => Reason::UpstreamUnreachable,
        (ErrorSource::Upstream, _) if forwarding => Reason::UpstreamBroken,
        _ => Reason::Internal,
    };
    Refusal::with_detail(reason, detail)
}

/// Whether there is nobody left to answer.
pub fn visitor_is_gone(error: &Error) -> bool {
    *error.esource() == ErrorSource::Downstream
        && matches!(
            error.etype(),
            ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::H2Error
        )
}

/// Why a sign-in was refused, and whose fault that was.
pub fn sign_in_refusal(rejected: &SignInRejected) -> Refusal {
    let (blame, again) = match rejected {
        // Whatever a response lacks is told to the log alone: the page is the same for all (security cases, section 1).
        SignInRejected::Oidc(OidcRejected::NotRemembered(fault))
        | SignInRejected::Saml(SamlSignInRejected::NotRemembered(fault)) => {
            return Refusal::with_detail(Reason::SessionStore { label: fault.label }, fault.to_string());
        }
        SignInRejected::Oidc(rejected) => (oidc_blame(rejected), Again::ByThisAddress),
        SignInRejected::Saml(rejected) => (saml_blame(rejected), Again::FromTheStart),
    };
    Refusal::with_detail(Reason::SignIn { label: rejected.reason(), blame, again }, rejected.to_string())
}

/// Why nobody is signed in, though the provider says who they are.
pub fn not_opened(error: &OpenError) -> Refusal {
    let label = error.label();
    let reason = match error {
        // Whoever begins once more is asked once more, or refused by the provider.
        OpenError::EndedMeanwhile => Reason::SignIn { label, blame: Blame::Visitor, again: Again::FromTheStart },
        OpenError::NoRandomness(_) | OpenError::Over | OpenError::Store(_) => Reason::SessionStore { label },
    };
    Refusal::with_detail(reason, error.to_string())
}

/// Why a logout message changed nothing.
pub fn logout_refusal(rejected: &LogoutRejected) -> Refusal {
    let reason = match rejected {
        LogoutRejected::NotRemembered(fault) => Reason::SessionStore { label: fault.label },
        _ => Reason::Logout { label: rejected.reason(), passing: rejected.is_passing() },
    };
    Refusal::with_detail(reason, rejected.to_string())
}

/// Why a logout token changed nothing.
pub fn logout_token_refusal(rejected: &LogoutTokenRejected) -> Refusal {
    let reason = match rejected {
        LogoutTokenRejected::NotRemembered(fault) => Reason::SessionStore { label: fault.label },
        _ => Reason::Logout { label: rejected.reason(), passing: rejected.is_passing() },
    };
    Refusal::with_detail(reason, rejected.to_string())
}

fn saml_blame(rejected: &SamlSignInRejected) -> Blame {
    match rejected {
        SamlSignInRejected::EmailMissing => Blame::Account,
        SamlSignInRejected::EmailOutsideDomains(_) => Blame::Organization,
        SamlSignInRejected::Metadata(_) | SamlSignInRejected::Busy => Blame::ProviderUnavailable,
        _ => Blame::ProviderMisbehaved,
    }
}

fn oidc_blame(rejected: &OidcRejected) -> Blame {
    match rejected {
        OidcRejected::VisitorCancelled => Blame::Visitor,
        OidcRejected::EmailMissing | OidcRejected::EmailMalformed | OidcRejected::EmailNotVerified => Blame::Account,
        OidcRejected::EmailOutsideDomains(_) => Blame::Organization,
        OidcRejected::Provider(ProviderFault::Unreachable(_)) => Blame::ProviderUnavailable,
        _ => Blame::ProviderMisbehaved,
    }
}

/// What a failure of the customer part tells the visitor.
fn explain(failed: &CustomerFailed) -> Explanation {
    match failed {
        CustomerFailed::Directory(failed) => explain_directory(failed),
        CustomerFailed::Broker(failed) => explain_broker(failed),
        CustomerFailed::KeepsDying | CustomerFailed::Interrupted => Explanation::CustomerServiceBusy,
        CustomerFailed::SessionEnded => Explanation::SignInNeeded,
    }
}

fn explain_directory(failed: &DirectoryFailed) -> Explanation {
    match failed {
        DirectoryFailed::NoVerifiedEmail => Explanation::EmailUnusable,
        DirectoryFailed::Licensed(_) => Explanation::AccountIsLicensed,
        DirectoryFailed::Administrator(_) => Explanation::AccountIsAdministrator,
        DirectoryFailed::Deactivated(_) => Explanation::AccountIsInactive,
        DirectoryFailed::Unknown | DirectoryFailed::Rejected(_) => Explanation::CustomerUnknown,
        DirectoryFailed::Ambiguous(_) | DirectoryFailed::Taken => Explanation::AccountIsAmbiguous,
        DirectoryFailed::ManagedGroup(_) | DirectoryFailed::ServiceDesk(_) | DirectoryFailed::Organization(_) => {
            Explanation::ServiceAccessRefused
        }
        DirectoryFailed::AtlassianAccount(_) => Explanation::AccountIsAtlassian,
        DirectoryFailed::BoundToAnother => Explanation::AccountBelongsToAnother,
        DirectoryFailed::EmailChanged => Explanation::EmailChanged,
        DirectoryFailed::Crowded => Explanation::CustomerServiceBusy,
        DirectoryFailed::Ledger(_) => Explanation::StoreUnavailable,
        DirectoryFailed::Upstream(failed) => explain_upstream(failed),
    }
}

fn explain_broker(failed: &BrokerFailed) -> Explanation {
    match failed {
        BrokerFailed::ReadOnlyDirectory(_) => Explanation::AccountIsReadOnly,
        BrokerFailed::Administrator(_) => Explanation::AccountIsAdministrator,
        BrokerFailed::CaptchaRequired(_) | BrokerFailed::TwoStepEnforced => Explanation::CustomerLoginChallenged,
        BrokerFailed::PasswordRejected(_)
        | BrokerFailed::LoginRefused(_)
        | BrokerFailed::NoLoginAvailable
        | BrokerFailed::SingleSignOnOff
        | BrokerFailed::SignOnRequestRefused(_)
        | BrokerFailed::SignOnRefused(_)
        | BrokerFailed::LedElsewhere(_)
        | BrokerFailed::NotSigned => Explanation::CustomerLoginRefused,
        BrokerFailed::LoginBlocked => Explanation::CustomerServiceUnreachable,
        BrokerFailed::PasswordNeeded(_) => Explanation::PasswordNeeded,
        BrokerFailed::TooManyTries(_) | BrokerFailed::HookFailed(_) => Explanation::CustomerServiceBusy,
        BrokerFailed::Vault(_) => Explanation::StoreUnavailable,
        BrokerFailed::WrongCustomer(_) => Explanation::AccountMismatch,
        BrokerFailed::AtlassianAccount(_) => Explanation::AccountIsAtlassian,
        BrokerFailed::LoginsPaused(_) | BrokerFailed::BrowserHasToWalk | BrokerFailed::TokenNotSigned(_) => {
            Explanation::CustomerServiceBusy
        }
        BrokerFailed::Upstream(failed) => explain_upstream(failed),
    }
}

fn explain_upstream(failed: &UpstreamFailed) -> Explanation {
    match failed {
        UpstreamFailed::RateLimited(_) => Explanation::CustomerServiceBusy,
        UpstreamFailed::CredentialsRefused
        | UpstreamFailed::CredentialsLackPermission
        | UpstreamFailed::CredentialsCaptcha
        | UpstreamFailed::BasicAuthOff => Explanation::ServiceAccessRefused,
        _ => Explanation::CustomerServiceUnreachable,
    }
}

#[cfg(test)]
mod tests;
