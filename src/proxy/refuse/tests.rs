//! `docs/errors.md` has a row for every refusal, with the status and the title that the visitor really gets.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::customer::NeededPassword;
use crate::email::{EmailAddress, EmailDomain};
use crate::limits::Limit;
use crate::policy::NotAdmitted;
use crate::portal::Malformed;
use crate::proxy::endpoints::group::ROUND_UNKNOWN;
use crate::random::NoRandomness;
use crate::refusal::Passwords;
use crate::saml::mapping::NoSubject;
use crate::saml::rejected::SamlRejected;
use crate::session::{InvalidKeys, NotHanded, OpenError, StoreError};
use crate::sign_in::oidc::rejected::{ErrorCode, IdTokenRejected, ProviderFault, UserInfoRejected};
use crate::sign_in::once::NotRemembered;
use crate::sign_in::saml::SamlStartFailed;
use crate::sign_in::saml::metadata_source::MetadataFault;
use crate::sign_in::{LogoutTokenRejected, StartFailed};

const DOCUMENT: &str = include_str!("../../../docs/errors.md");

fn plain() -> Vec<Refusal> {
    let malformed = [
        Malformed::Head,
        Malformed::Framing,
        Malformed::Host,
        Malformed::Target,
        Malformed::Path,
        Malformed::TooLong,
        Malformed::Method,
        Malformed::Upgrade,
        Malformed::Connection,
        Malformed::Expectation,
    ];
    let not_admitted = [
        NotAdmitted::Provider,
        NotAdmitted::NoEmail,
        NotAdmitted::EmailUnverified,
        NotAdmitted::Domain,
        NotAdmitted::Blocked,
        NotAdmitted::Condition,
    ];
    let later = Later::new(Timestamp::from_seconds(60), Timestamp::from_seconds(0));
    let others = [
        Reason::HeadTooLarge,
        Reason::BodyTooLarge,
        Reason::UnknownHost,
        Reason::NoClientCertificate,
        Reason::NoSuchEndpoint,
        Reason::SignInRequired,
        Reason::FormTooLarge,
        Reason::FormNoRoom,
        Reason::FormGone,
        Reason::FormOfAnother,
        Reason::FormLost,
        Reason::PathDenied,
        Reason::PathClosed,
        Reason::AccountPage(Passwords::Nowhere),
        Reason::AccountPage(Passwords::GivenHere),
        Reason::AccountPage(Passwords::AtTheSite),
        Reason::RuleNotMet,
        Reason::TooManyRequests { limit: Limit::Day, later },
        Reason::TooManyRequests { limit: Limit::Minute, later },
        Reason::TooManySignIns(later),
        Reason::CrossOrigin,
        Reason::SignInLoop,
        Reason::CookiesMissing,
        Reason::HandedOver,
        Reason::NotSent,
        Reason::UpstreamUnreachable,
        Reason::UpstreamBusy,
        Reason::UpstreamTimeout,
        Reason::UpstreamBroken,
        Reason::VisitorGone,
        Reason::Internal,
        Reason::SessionStore { label: "session_store_unavailable" },
    ];
    let malformed = malformed.into_iter().map(Reason::Malformed);
    let not_admitted = not_admitted.into_iter().map(Reason::NotAdmitted);
    malformed.chain(not_admitted).chain(others).map(Refusal::from).collect()
}

fn of_sign_in() -> Vec<Refusal> {
    use {IdTokenRejected as I, OidcRejected as O, UserInfoRejected as U};
    let fault = |misbehaved: bool| {
        if misbehaved { ProviderFault::Misbehaved("x".into()) } else { ProviderFault::Unreachable("x".into()) }
    };
    let id_token = [
        I::Malformed(""),
        I::WrongType,
        I::AlgorithmNotAllowed,
        I::UnknownKey,
        I::BadSignature,
        I::Missing(""),
        I::Invalid(""),
        I::WrongIssuer,
        I::WrongAudience,
        I::WrongParty,
        I::Expired,
        I::NotYetValid,
        I::IssuedInFuture,
        I::IssuedLongAgo,
        I::WrongNonce,
        I::WrongHash(""),
        I::AuthenticatedTooLongAgo,
    ];
    let on_the_way_back = [
        O::VisitorCancelled,
        O::ProviderError(ErrorCode::new("x")),
        O::CallbackMalformed(""),
        O::MixedUp(""),
        O::Provider(fault(false)),
        O::Provider(fault(true)),
        O::ClientRefused(ErrorCode::new("x")),
        O::CodeRefused,
        O::UserInfo(U::Signed),
        O::UserInfo(U::Malformed),
        O::UserInfo(U::WrongSubject),
        O::EmailMissing,
        O::EmailMalformed,
        O::EmailNotVerified,
        O::EmailOutsideDomains(EmailDomain::parse("acme.com").unwrap()),
        O::NotRemembered(NotRemembered { label: "session_store_full", what: String::new() }),
        O::Cryptography(""),
    ];
    let at_the_start = [
        StartFailed::UnknownProvider,
        StartFailed::Provider(fault(false)),
        StartFailed::Provider(fault(true)),
        StartFailed::NoRandomness(NoRandomness),
    ];
    let at_the_start = at_the_start.iter().map(|failed| {
        Reason::SignIn { label: failed.reason(), blame: Blame::ProviderUnavailable, again: Again::ByThisAddress }.into()
    });
    let id_token = id_token.into_iter().map(O::IdToken);
    on_the_way_back
        .into_iter()
        .chain(id_token)
        .map(|rejected| sign_in_refusal(&rejected.into()))
        .chain(at_the_start)
        .chain(by_saml())
        .chain(by_groups())
        .collect()
}

fn by_groups() -> Vec<Refusal> {
    let not_handed = |label| crate::proxy::endpoints::group::not_handed(label, String::new());
    let codes = [NotHanded::Unknown, NotHanded::ForAnother, NotHanded::Over].map(NotHanded::label);
    codes.into_iter().chain([ROUND_UNKNOWN]).map(not_handed).collect()
}

fn by_saml() -> Vec<Refusal> {
    use crate::sign_in::saml::SamlSignInRejected as S;
    let rejected = [
        S::Form(""),
        S::Unsolicited,
        S::MixedUp,
        S::Metadata(MetadataFault::Expired),
        S::Replayed,
        S::NotRemembered(NotRemembered { label: "session_store_full", what: String::new() }),
        S::NoSubject(NoSubject::Transient),
        S::EmailMissing,
        S::EmailOutsideDomains(EmailDomain::parse("acme.com").unwrap()),
        S::Busy,
        S::Broken,
    ];
    let rejected = rejected.into_iter().map(|rejected| sign_in_refusal(&rejected.into()));
    let (blame, again) = (Blame::ProviderMisbehaved, Again::FromTheStart);
    let responses = SamlRejected::REASONS.iter().map(|label| Reason::SignIn { label, blame, again }.into());
    let failed = [SamlStartFailed::NoKey, SamlStartFailed::BindingNotOffered, SamlStartFailed::NotSigned];
    let blame = Blame::ProviderUnavailable;
    let failed = failed.into_iter().map(|failed| failed.reason()).chain(MetadataFault::REASONS);
    let failed = failed.map(|label| Reason::SignIn { label, blame, again }.into());
    rejected.chain(responses).chain(failed).collect()
}

fn of_logouts() -> Vec<Refusal> {
    use crate::saml::message::MessageRefused as M;
    use crate::saml::xml::XmlRefused;
    let messages = [
        M::Xml(XmlRefused::NotUtf8),
        M::Parameters,
        M::Encoding,
        M::DuplicateId,
        M::Soap,
        M::NotA(""),
        M::Issuer,
        M::Destination,
        M::IssueInstant,
        M::Expired,
        M::InResponseTo,
        M::Unsigned,
        M::Signature,
        M::Algorithm,
        M::Decryption,
        M::NameId,
    ];
    let others = [
        LogoutRejected::Metadata(MetadataFault::Expired),
        LogoutRejected::Replayed,
        LogoutRejected::NoKey,
        LogoutRejected::Busy,
        LogoutRejected::Broken,
    ];
    let rejected = messages.into_iter().map(LogoutRejected::Message).chain(others);
    let tokens = [
        LogoutTokenRejected::Form(""),
        LogoutTokenRejected::Token(IdTokenRejected::Expired),
        LogoutTokenRejected::Provider(ProviderFault::Unreachable(String::new())),
        LogoutTokenRejected::Replayed,
    ];
    let not_all = Reason::Logout { label: "not_all_ended", passing: true }.into();
    let tokens = tokens.iter().map(logout_token_refusal);
    rejected.map(|rejected| logout_refusal(&rejected)).chain(tokens).chain([not_all]).collect()
}

fn of_the_store() -> Vec<Refusal> {
    let path: Arc<std::path::Path> = Arc::from(std::path::Path::new("x"));
    let (path, reason) = (|| Arc::clone(&path), String::new);
    let store = [
        StoreError::Keys(InvalidKeys::None),
        StoreError::NotSealed(crate::session::store::NotSealed::Cipher),
        StoreError::NotOpened { path: path(), reason: reason() },
        StoreError::InUse { path: path() },
        StoreError::OtherFormat { path: path(), found: reason(), expected: 1 },
        StoreError::Damaged { path: path(), reason: reason() },
        StoreError::Full { path: path() },
        StoreError::Broken { path: path(), reason: reason() },
        StoreError::Busy,
        StoreError::Closed,
    ];
    let open = [OpenError::NoRandomness(NoRandomness), OpenError::Over, OpenError::EndedMeanwhile];
    let open = open.into_iter().chain(store.into_iter().map(OpenError::Store));
    open.map(|error| not_opened(&error)).collect()
}

fn of_customers() -> Vec<Refusal> {
    use {BrokerFailed as B, DirectoryFailed as D, UpstreamFailed as U};
    let text = String::new;
    let upstream = [
        U::Unreachable(text()),
        U::Tls(text()),
        U::TimedOut,
        U::RateLimited(Duration::ZERO),
        U::Resting(Duration::ZERO),
        U::Failing(500),
        U::CredentialsRefused,
        U::CredentialsLackPermission,
        U::CredentialsCaptcha,
        U::BasicAuthOff,
        U::HtmlInsteadOfJson,
        U::Unexpected(""),
        U::NoRandomness(NoRandomness),
    ];
    let directory = [
        D::NoVerifiedEmail,
        D::Licensed(text()),
        D::Administrator(text()),
        D::Deactivated(text()),
        D::Unknown,
        D::Ambiguous(2),
        D::Taken,
        D::Rejected(text()),
        D::ManagedGroup(text()),
        D::ServiceDesk(text()),
        D::Organization(text()),
        D::AtlassianAccount(text()),
        D::BoundToAnother,
        D::EmailChanged,
        D::Crowded,
        D::Ledger(crate::session::RecordError::Unreadable),
    ];
    let broker = [
        B::ReadOnlyDirectory(text()),
        B::PasswordRejected(text()),
        B::CaptchaRequired(text()),
        B::TwoStepEnforced,
        B::LoginRefused(text()),
        B::NoLoginAvailable,
        B::WrongCustomer(text()),
        B::Administrator(text()),
        B::AtlassianAccount(text()),
        B::SingleSignOnOff,
        B::SignOnRequestRefused(text()),
        B::SignOnRefused(text()),
        B::LedElsewhere(text()),
        B::LoginBlocked,
        B::NotSigned,
        B::PasswordNeeded(Box::new(NeededPassword {
            account: text(),
            address: EmailAddress::parse("ana@acme.com").unwrap(),
            stale: false,
        })),
        B::TooManyTries(Timestamp::from_seconds(0)),
        B::HookFailed(text()),
        B::Vault(crate::session::RecordError::Unreadable),
        B::BrowserHasToWalk,
        B::LoginsPaused(Duration::ZERO),
        B::TokenNotSigned("busy"),
    ];
    (upstream.into_iter().map(|failed| CustomerFailed::Broker(failed.into())))
        .chain(directory.into_iter().map(CustomerFailed::Directory))
        .chain(broker.into_iter().map(CustomerFailed::Broker))
        .chain([CustomerFailed::KeepsDying, CustomerFailed::SessionEnded, CustomerFailed::Interrupted])
        .map(|failed| customer_refusal(&failed))
        .collect()
}

fn all() -> Vec<Refusal> {
    [plain(), of_sign_in(), of_logouts(), of_the_store(), of_customers()].concat()
}

#[test]
fn every_refusal_is_documented_with_what_the_visitor_sees() {
    let missing: Vec<String> = all()
        .iter()
        .map(|refusal| {
            let reason = refusal.reason();
            let title = reason.explanation().texts(Language::English).title;
            format!("| `{}` | {} | {title} | ", reason.label(), reason.status().as_u16())
        })
        .filter(|row| !DOCUMENT.lines().any(|line| line.starts_with(row)))
        .collect();
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:#?}");
}

#[test]
fn every_documented_refusal_exists() {
    let labels: Vec<&str> = all().iter().map(|refusal| refusal.reason().label()).collect();
    let documented =
        DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).filter(|(_, rest)| {
            rest.split_once(" | ").is_some_and(|(status, _)| status.len() == 3 && status.parse::<u16>().is_ok())
        });
    for (label, _) in documented {
        assert!(labels.contains(&label), "docs/errors.md tells of {label}");
    }
}

/// A label that is added to a source file, and not to the lists above, is found here.
#[test]
fn no_label_is_forgotten_here() {
    let labels: Vec<&str> = all().iter().map(|refusal| refusal.reason().label()).collect();
    let arm = regex::Regex::new(r#"=> "([a-z_]+)",|label: "([a-z_]+)""#).unwrap();
    for source in [
        include_str!("../../refusal.rs"),
        include_str!("../../policy/admission.rs"),
        include_str!("../../sign_in/oidc/rejected.rs"),
        include_str!("../../sign_in/oidc/back_channel.rs"),
        include_str!("../../sign_in/outcome.rs"),
        include_str!("../../sign_in/saml/rejected.rs"),
        include_str!("../../saml/rejected.rs"),
        include_str!("../../saml/message.rs"),
        include_str!("../../sign_in/saml/logout/rejected.rs"),
        include_str!("../../session/store.rs"),
        include_str!("../../session/sessions.rs"),
        include_str!("../../session/sessions/handing.rs"),
        include_str!("../../customer/failure.rs"),
        include_str!("../../customer/failure/broker.rs"),
        include_str!("../../customer/failure/directory.rs"),
        include_str!("../../customer/failure/upstream.rs"),
        include_str!("../endpoints.rs"),
        include_str!("../endpoints/back_channel_logout.rs"),
        include_str!("../endpoints/call_back.rs"),
        include_str!("../endpoints/group.rs"),
        include_str!("../endpoints/sign_out.rs"),
        include_str!("../endpoints/start.rs"),
    ] {
        let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let mut found = arm.captures_iter(code).filter_map(|label| label.get(1).or(label.get(2))).map(|m| m.as_str());
        assert!(found.all(|label| labels.contains(&label)), "{:?}", arm.find_iter(code).collect::<Vec<_>>());
    }
}
