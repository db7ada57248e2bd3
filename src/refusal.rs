//! The one shape of every "no": a status, plain words for the visitor, a closed label for metrics, a detail for the log.

use std::time::Duration;

use http::StatusCode;

use crate::clock::Timestamp;
use crate::limits::Limit;
use crate::pages::Explanation;
use crate::policy::NotAdmitted;
use crate::portal::Malformed;
use crate::random::NoRandomness;

/// A "no".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    detail: Option<String>,
}

/// Why. The set is closed: each has a label, a status and words for the visitor, and `docs/errors.md` lists them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request could be read in two ways, or not at all.
    Malformed(Malformed),
    /// The head is larger than the limit, or has too many fields.
    HeadTooLarge,
    /// The body is larger than the portal's limit.
    BodyTooLarge,
    /// No portal has this host name.
    UnknownHost,
    /// The host demands a certificate of its visitors, and the connection was made without one.
    NoClientCertificate,
    /// Nothing stands at this path below `/.vestibule/`, or not for this method.
    NoSuchEndpoint,
    /// The visitor has to sign in first.
    SignInRequired,
    /// What was sent without a session is too large to be kept.
    FormTooLarge,
    /// What was sent without a session could not be kept.
    FormNoRoom,
    /// There is no such kept form, or no more.
    FormGone,
    /// A kept form is another person's.
    FormOfAnother,
    /// A kept form could neither be sent nor kept any longer.
    FormLost,
    /// The rule of this path lets nobody pass.
    PathDenied,
    /// The path is closed unless a rule names it.
    PathClosed,
    /// A page of JSM's own about accounts and passwords, of which there are none here.
    AccountPage(Passwords),
    /// The condition of this path's rule does not hold of the person.
    RuleNotMet,
    /// The customer has made as many requests as they may.
    TooManyRequests {
        /// In a day or in a minute.
        limit: Limit,
        /// From when on one more is taken.
        later: Later,
    },
    /// Too many sign-ins were tried from one address.
    TooManySignIns(Later),
    /// A request that changes something came from another site.
    CrossOrigin,
    /// The person may not be a customer here.
    NotAdmitted(NotAdmitted),
    /// Sign-in failed; the label comes from the verifier.
    SignIn {
        /// The verifier's label.
        label: &'static str,
        /// Whose fault it was.
        blame: Blame,
        /// How it can be tried again.
        again: Again,
    },
    /// Sign-in went round and round.
    SignInLoop,
    /// The browser brought back no cookie of a sign-in.
    CookiesMissing,
    /// A logout message was refused; the label comes from the verifier.
    Logout {
        /// The verifier's label.
        label: &'static str,
        /// Whether trying again soon may help.
        passing: bool,
    },
    /// The customer session could not be obtained; the label comes from the customer part.
    CustomerSession {
        /// The customer part's label.
        label: &'static str,
        /// Whether trying again soon may help.
        passing: bool,
        /// What it says.
        explanation: Explanation,
    },
    /// Whoever has signed in here is served at the site's own address, and this request cannot be taken there.
    HandedOver,
    /// The customer session had died, and the request could not be repeated.
    NotSent,
    /// The upstream could not be reached.
    UpstreamUnreachable,
    /// The upstream's address is given no more than it takes, and no place got free in time.
    UpstreamBusy,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream's answer was not HTTP, or broke off.
    UpstreamBroken,
    /// The session store could not be written.
    SessionStore {
        /// The store's label.
        label: &'static str,
    },
    /// The visitor's side broke off or took too long.
    VisitorGone,
    /// Something that cannot happen.
    Internal,
}

/// Where the passwords are that JSM's own pages are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passwords {
    /// Nobody has one.
    Nowhere,
    /// Customers choose one at the site, and give it here once.
    GivenHere,
    /// Only the site itself has to do with them.
    AtTheSite,
}

/// When something is allowed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later {
    /// The moment.
    pub at: Timestamp,
    /// How long that is from now.
    pub wait: Duration,
}

impl Later {
    /// At that moment, seen from `now`.
    pub fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, wait: at.since(now) }
    }
}

/// Whose fault a failed sign-in was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The provider is down, slow or broken: a retry may help.
    ProviderUnavailable,
    /// The provider said something that we must not believe.
    ProviderMisbehaved,
    /// The visitor, or somebody in their name, cancelled.
    Visitor,
    /// The account is not what this portal needs.
    Account,
    /// The provider may not speak for the organization of the account.
    Organization,
}

/// How a failed sign-in can be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// By the address that was asked for.
    ByThisAddress,
    /// From the start: what was asked for came by a form.
    FromTheStart,
}

/// What a page can offer beside its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Nothing.
    Nothing,
    /// The same address once more.
    Retry,
    /// Another sign-in, from the start.
    SignInAgain,
    /// Another sign-in, as if none had been before.
    SignInAnew,
    /// The same sign-in once more: whoever asks for the same address again begins it anew, and lands where they wanted to.
    RepeatSignIn,
    /// Sign out, then sign in as somebody else.
    SomebodyElse,
    /// The site itself, where that is known; else sign out, then sign in as somebody else.
    TheSite,
    /// The page that asks for the password at the support desk.
    Password,
    /// The start page of the portal.
    Start,
    /// A sign-in in another tab, so that this one keeps what it has.
    SignInBeside,
}

impl Refusal {
    /// A refusal without a detail.
    pub fn new(reason: Reason) -> Self {
        Self { reason, detail: None }
    }

    /// The same with a detail for the log. It must hold no secret.
    pub fn with_detail(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: Some(detail.into()) }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// For the log alone.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::new(Reason::Malformed(malformed))
    }
}

impl From<NoRandomness> for Refusal {
    fn from(error: NoRandomness) -> Self {
        Self::with_detail(Reason::Internal, error.to_string())
    }
}

impl Reason {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed(Malformed::TooLong) => StatusCode::URI_TOO_LONG,
            Self::Malformed(Malformed::Method) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Malformed(Malformed::Expectation) => StatusCode::EXPECTATION_FAILED,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownHost | Self::NoClientCertificate => StatusCode::MISDIRECTED_REQUEST,
            Self::NoSuchEndpoint => StatusCode::NOT_FOUND,
            Self::SignInRequired => StatusCode::UNAUTHORIZED,
            Self::FormTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::FormNoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::FormGone => StatusCode::GONE,
            Self::FormOfAnother => StatusCode::CONFLICT,
            Self::FormLost => StatusCode::SERVICE_UNAVAILABLE,
            Self::PathDenied | Self::PathClosed | Self::AccountPage(_) | Self::RuleNotMet => StatusCode::FORBIDDEN,
            Self::HandedOver => StatusCode::FORBIDDEN,
            Self::CrossOrigin | Self::NotAdmitted(_) => StatusCode::FORBIDDEN,
            Self::TooManyRequests { .. } | Self::TooManySignIns(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::SignIn { blame: Blame::ProviderUnavailable, .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::SignIn { blame: Blame::ProviderMisbehaved, .. } | Self::SignInLoop => StatusCode::BAD_REQUEST,
            Self::CookiesMissing => StatusCode::BAD_REQUEST,
            Self::SignIn { blame: Blame::Visitor | Blame::Account | Blame::Organization, .. } => StatusCode::FORBIDDEN,
            Self::Logout { passing: false, .. } => StatusCode::BAD_REQUEST,
            Self::Logout { passing: true, .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::CustomerSession { passing: true, .. } | Self::NotSent | Self::UpstreamBusy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::CustomerSession { passing: false, .. } => StatusCode::FORBIDDEN,
            Self::UpstreamUnreachable | Self::UpstreamBroken => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::SessionStore { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::VisitorGone => StatusCode::REQUEST_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The label in metrics, logs and JSON answers.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed(Malformed::Head) => "malformed_head",
            Self::Malformed(Malformed::Framing) => "ambiguous_length",
            Self::Malformed(Malformed::Host) => "malformed_host",
            Self::Malformed(Malformed::Target) => "malformed_target",
            Self::Malformed(Malformed::Path) => "ambiguous_path",
            Self::Malformed(Malformed::TooLong) => "target_too_long",
            Self::Malformed(Malformed::Method) => "method_not_allowed",
            Self::Malformed(Malformed::Upgrade) => "unknown_upgrade",
            Self::Malformed(Malformed::Connection) => "connection_nominates",
            Self::Malformed(Malformed::Expectation) => "unknown_expectation",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::UnknownHost => "unknown_host",
            Self::NoClientCertificate => "client_certificate_missing",
            Self::NoSuchEndpoint => "no_such_endpoint",
            Self::SignInRequired => "sign_in_required",
            Self::FormTooLarge => "form_too_large_to_keep",
            Self::FormNoRoom => "form_not_kept",
            Self::FormGone => "form_gone",
            Self::FormOfAnother => "form_of_another",
            Self::FormLost => "form_lost",
            Self::PathDenied => "path_denied",
            Self::PathClosed => "path_closed",
            Self::AccountPage(_) => "account_page",
            Self::RuleNotMet => "rule_not_met",
            Self::TooManyRequests { limit: Limit::Day, .. } => "requests_per_day",
            Self::TooManyRequests { limit: Limit::Minute, .. } => "requests_per_minute",
            Self::TooManySignIns(_) => "sign_ins_per_address",
            Self::CrossOrigin => "cross_origin",
            Self::NotAdmitted(not_admitted) => not_admitted.reason(),
            Self::SignIn { label, .. }
            | Self::Logout { label, .. }
            | Self::CustomerSession { label, .. }
            | Self::SessionStore { label } => label,
            Self::SignInLoop => "sign_in_loop",
            Self::CookiesMissing => "cookies_missing",
            Self::HandedOver => "handed_over",
            Self::NotSent => "not_sent",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamBusy => "upstream_busy",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamBroken => "upstream_broken",
            Self::VisitorGone => "visitor_gone",
            Self::Internal => "internal",
        }
    }

    /// What it says to the visitor.
    pub fn explanation(self) -> Explanation {
        match self {
            Self::Malformed(Malformed::Method) => Explanation::MethodNotAllowed,
            Self::Malformed(Malformed::TooLong) => Explanation::AddressTooLong,
            Self::Malformed(_) => Explanation::BadRequest,
            Self::HeadTooLarge => Explanation::TooManyHeaders,
            Self::BodyTooLarge => Explanation::TooLarge,
            Self::UnknownHost => Explanation::UnknownHost,
            Self::NoClientCertificate => Explanation::CertificateNeeded,
            Self::NoSuchEndpoint => Explanation::NotFound,
            Self::SignInRequired => Explanation::SignInNeeded,
            Self::FormTooLarge => Explanation::FormTooLarge,
            Self::FormNoRoom => Explanation::FormNotKept,
            Self::FormGone => Explanation::FormGone,
            Self::FormOfAnother => Explanation::FormOfAnother,
            Self::FormLost => Explanation::FormLost,
            Self::PathDenied | Self::PathClosed => Explanation::NotAllowed,
            Self::AccountPage(Passwords::Nowhere) => Explanation::NoAccountsHere,
            Self::AccountPage(Passwords::GivenHere) => Explanation::PasswordByMail,
            Self::AccountPage(Passwords::AtTheSite) => Explanation::PasswordsElsewhere,
            Self::RuleNotMet => Explanation::NotForYou,
            Self::TooManyRequests { .. } => Explanation::RequestLimit,
            Self::TooManySignIns(_) => Explanation::TooManyRequests,
            Self::CrossOrigin => Explanation::CrossSite,
            Self::NotAdmitted(NotAdmitted::Domain | NotAdmitted::Condition | NotAdmitted::Provider) => {
                Explanation::NotAdmitted
            }
            Self::NotAdmitted(NotAdmitted::Blocked) => Explanation::Blocked,
            Self::NotAdmitted(NotAdmitted::NoEmail | NotAdmitted::EmailUnverified) => Explanation::EmailUnusable,
            Self::SignIn { blame: Blame::ProviderUnavailable, .. } => Explanation::ProviderUnreachable,
            Self::SignIn { blame: Blame::ProviderMisbehaved, .. } => Explanation::SignInNotCompleted,
            Self::SignIn { blame: Blame::Visitor, .. } => Explanation::SignInDeclined,
            Self::SignIn { blame: Blame::Account, .. } => Explanation::EmailUnusable,
            Self::SignIn { blame: Blame::Organization, .. } => Explanation::NotAdmitted,
            Self::SignInLoop => Explanation::SignInLoop,
            Self::CookiesMissing => Explanation::CookiesNeeded,
            Self::Logout { .. } => Explanation::LogoutNotDone,
            Self::CustomerSession { explanation, .. } => explanation,
            Self::HandedOver => Explanation::ServedElsewhere,
            Self::NotSent => Explanation::RequestNotSent,
            Self::UpstreamUnreachable => Explanation::UpstreamUnreachable,
            Self::UpstreamBusy => Explanation::UpstreamBusy,
            Self::UpstreamTimeout => Explanation::UpstreamSlow,
            Self::UpstreamBroken => Explanation::UpstreamBroken,
            Self::SessionStore { .. } => Explanation::StoreUnavailable,
            Self::VisitorGone => Explanation::RequestTooSlow,
            Self::Internal => Explanation::InternalError,
        }
    }

    /// When it is allowed again, where that is known.
    pub fn later(self) -> Option<Later> {
        match self {
            Self::TooManyRequests { later, .. } | Self::TooManySignIns(later) => Some(later),
            _ => None,
        }
    }

    /// Whether whom to ask is part of the answer.
    pub fn names_contact(self) -> bool {
        matches!(
            self,
            Self::NotAdmitted(_)
                | Self::RuleNotMet
                | Self::TooManyRequests { .. }
                | Self::SignIn { blame: Blame::Account | Blame::Organization, .. }
        )
    }

    /// What the page offers.
    pub fn offer(self) -> Offer {
        match self {
            Self::Malformed(_) | Self::NoSuchEndpoint | Self::CrossOrigin | Self::Logout { .. } => Offer::Start,
            Self::PathDenied | Self::PathClosed | Self::AccountPage(_) | Self::HandedOver => Offer::Start,
            Self::FormGone | Self::FormOfAnother | Self::FormLost => Offer::Start,
            Self::FormTooLarge | Self::FormNoRoom => Offer::SignInBeside,
            Self::TooManyRequests { .. } => Offer::Nothing,
            Self::HeadTooLarge | Self::BodyTooLarge | Self::UnknownHost | Self::NotSent => Offer::Nothing,
            Self::NoClientCertificate => Offer::Retry,
            Self::SignInRequired => Offer::SignInAgain,
            Self::SignInLoop | Self::CookiesMissing => Offer::SignInAnew,
            Self::NotAdmitted(_) | Self::RuleNotMet => Offer::SomebodyElse,
            Self::SignIn { blame: Blame::Account | Blame::Organization, .. } => Offer::SomebodyElse,
            Self::SignIn { again: Again::FromTheStart, .. } => Offer::SignInAgain,
            Self::SignIn { again: Again::ByThisAddress, .. } => Offer::RepeatSignIn,
            Self::CustomerSession { explanation: Explanation::PasswordNeeded, .. } => Offer::Password,
            Self::CustomerSession {
                passing: false,
                explanation:
                    Explanation::AccountIsAtlassian | Explanation::AccountIsLicensed | Explanation::AccountIsAdministrator,
                ..
            } => Offer::TheSite,
            Self::CustomerSession { passing: false, .. } => Offer::SomebodyElse,
            Self::CustomerSession { passing: true, .. }
            | Self::UpstreamUnreachable
            | Self::UpstreamBusy
            | Self::UpstreamTimeout
            | Self::UpstreamBroken
            | Self::SessionStore { .. }
            | Self::TooManySignIns(_)
            | Self::VisitorGone
            | Self::Internal => Offer::Retry,
        }
    }
}
