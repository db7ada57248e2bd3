//! Labels are a closed set, and pauses are in proportion.

use super::*;
use crate::clock::Timestamp;
use crate::email::EmailAddress;
use crate::random::NoRandomness;
use crate::session::RecordError;

#[test]
fn reasons_are_a_closed_set_of_plain_words() {
    use {BrokerFailed as B, CustomerFailed as C, DirectoryFailed as D, UpstreamFailed as U};
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
        D::Ledger(RecordError::Unreadable),
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
        B::PasswordNeeded(Box::new(NeededPassword {
            account: text(),
            address: EmailAddress::parse("ana@acme.com").unwrap(),
            stale: false,
        })),
        B::TooManyTries(Timestamp::from_seconds(0)),
        B::HookFailed(text()),
        B::Vault(RecordError::Unreadable),
        B::SingleSignOnOff,
        B::SignOnRequestRefused(text()),
        B::SignOnRefused(text()),
        B::LedElsewhere(text()),
        B::LoginBlocked,
        B::NotSigned,
        B::BrowserHasToWalk,
        B::LoginsPaused(Duration::ZERO),
        B::TokenNotSigned(""),
    ];
    let told: std::collections::BTreeSet<_> = (upstream.into_iter().map(|failed| C::Broker(failed.into())))
        .chain(directory.into_iter().map(C::Directory))
        .chain(broker.into_iter().map(C::Broker))
        .chain([C::KeepsDying, C::SessionEnded, C::Interrupted])
        .map(|failed| failed.reason())
        .collect();
    assert_eq!(told, REASONS.into_iter().collect());
    assert_eq!(told.len(), REASONS.len());
    for reason in REASONS {
        assert!(reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{reason}");
    }
}

#[test]
fn what_is_about_the_account_is_not_tried_again_at_once() {
    let lasting = CustomerFailed::Directory(DirectoryFailed::Licensed("fred".into()));
    let passing = CustomerFailed::Broker(BrokerFailed::Upstream(UpstreamFailed::TimedOut));
    let asked = CustomerFailed::Broker(BrokerFailed::Upstream(UpstreamFailed::RateLimited(Duration::from_secs(9))));
    assert!(lasting.is_about_the_account() && !passing.is_about_the_account());
    assert!(lasting.pause() > passing.pause());
    assert_eq!(asked.pause(), Duration::from_secs(9));
}
