//! Why a message is not believed: a closed set of reasons for logs and metrics, each with a sentence that tells the operator
//! what to change. The browser is told neither.

use std::fmt;

use crate::clock::Timestamp;
use crate::saml::encryption::EncryptionRefused;
use crate::saml::signature::SignatureRefused;
use crate::saml::xml::{ShapeRefused, XmlRefused};

/// A value of the message, made fit for a log line: quoted, escaped, at most 200 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    /// Quotes `value`.
    pub fn new(value: &str) -> Self {
        let short: String = value.chars().take(200).collect();
        let dots = if short.len() < value.len() { "..." } else { "" };
        Self(format!("{short:?}{dots}"))
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose element it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The Response.
    Response,
    /// The Assertion in it.
    Assertion,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Response => "Response",
            Self::Assertion => "Assertion",
        })
    }
}

/// A response that is not believed. Its text is the sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamlRejected {
    /// More octets than are read.
    #[error("The message is larger than {0} octets; let the identity provider send fewer attributes or groups.")]
    TooLarge(usize),
    /// The form field is not base64.
    #[error("The message is not base64; it was damaged on the way, or is no SAMLResponse.")]
    NotBase64,
    /// Not the strict XML that is read.
    #[error("The message is refused before anything is believed: {0}.")]
    Xml(#[from] XmlRefused),
    /// An element is missing, repeated, or has markup in its text.
    #[error("The message has not the shape of a SAML response: {0}.")]
    Shape(#[from] ShapeRefused),
    /// The document element is something else.
    #[error(
        "The message is a {0} and not a SAML 2.0 Response; check what the identity provider sends to this address."
    )]
    NotAResponse(Quoted),
    /// Not exactly one Assertion at the one place for it.
    #[error(
        "The response must hold exactly one Assertion or EncryptedAssertion, directly below Response; it holds {0} anywhere."
    )]
    Assertions(usize),
    /// Two elements claim one ID.
    #[error("Two elements of the response have the same ID, so that a signature could mean either.")]
    DuplicateId,
    /// A signature is not of the one shape that is believed, or does not verify.
    #[error(transparent)]
    Signature(#[from] SignatureRefused),
    /// Nothing that is believed is signed.
    #[error("Neither the response nor the assertion is signed; switch signing on at the identity provider.")]
    Unsigned,
    /// What is encrypted cannot be had.
    #[error(transparent)]
    Encryption(#[from] EncryptionRefused),
    /// Too much that came unsigned did not decrypt: nothing unsigned is decrypted from AES-CBC for a while.
    #[error(
        "Too many messages did not decrypt; unsigned responses that are encrypted by AES-CBC are not decrypted for a \
         minute. Let the identity provider sign the response, or encrypt by AES-GCM."
    )]
    DecryptionPaused,
    /// Another version of SAML.
    #[error("The {0} is not of SAML version 2.0.")]
    Version(Part),
    /// An ID is missing.
    #[error("The {0} has no ID.")]
    NoId(Part),
    /// The provider says that it failed.
    #[error("The identity provider answered with status {code}{}; look into its log for this sign-in.", message.as_ref().map(|m| format!(" ({m})")).unwrap_or_default())]
    Status {
        /// The innermost status code.
        code: Quoted,
        /// Its own words.
        message: Option<Quoted>,
    },
    /// A signed Response does not say for whom it is.
    #[error("The signed response has no Destination; let the identity provider state the assertion consumer URL.")]
    NoDestination,
    /// Meant for another address.
    #[error(
        "The response is meant for {found}, but arrived at {expected}; correct the assertion consumer URL (ACS, reply URL) at the identity provider."
    )]
    Destination {
        /// The Destination.
        found: Quoted,
        /// Our address.
        expected: Quoted,
    },
    /// It was issued by somebody else.
    #[error(
        "The {part} was issued by {found}, but the provider is {expected}; correct the entity id of the provider, or the sign-in went to another one."
    )]
    Issuer {
        /// Whose issuer.
        part: Part,
        /// The issuer found.
        found: Quoted,
        /// The entity id expected.
        expected: Quoted,
    },
    /// An instant is missing or not a UTC time.
    #[error("{0} is missing or is not a time in UTC.")]
    Time(&'static str),
    /// Issued too long ago.
    #[error(
        "The {part} was issued at {at}, too long ago; check the clocks of the identity provider and of this machine."
    )]
    Stale {
        /// Whose IssueInstant.
        part: Part,
        /// When.
        at: Timestamp,
    },
    /// Issued in the future.
    #[error(
        "The {part} was issued at {at}, in the future; check the clocks of the identity provider and of this machine."
    )]
    Early {
        /// Whose IssueInstant.
        part: Part,
        /// When.
        at: Timestamp,
    },
    /// Answers nothing that was asked, or something else.
    #[error(
        "The {part} answers {found}, but {expected}; the answer is old, came twice, or was meant for somebody else."
    )]
    InResponseTo {
        /// Where it is said.
        part: Part,
        /// The request it names.
        found: Quoted,
        /// What would have been right.
        expected: &'static str,
    },
    /// Does not say what it answers.
    #[error("The {0} does not say which request it answers (InResponseTo).")]
    NoInResponseTo(Part),
    /// There are no conditions, or none on the audience.
    #[error(
        "The assertion does not say for whom it is; let the identity provider add an AudienceRestriction with our entity id."
    )]
    NoAudience,
    /// Not for us.
    #[error(
        "The assertion is meant for {found}, but we are {expected}; correct the audience (entity id of the service provider) at the identity provider."
    )]
    Audience {
        /// The first audience of the restriction that fails.
        found: Quoted,
        /// Our entity id.
        expected: Quoted,
    },
    /// Not yet valid.
    #[error("The assertion is not valid before {0}; check the clocks of the identity provider and of this machine.")]
    NotYetValid(Timestamp),
    /// No longer valid.
    #[error(
        "The assertion was valid until {0}; it came late, or the clocks of the identity provider and of this machine differ."
    )]
    Expired(Timestamp),
    /// A condition that nobody here understands: it has to be refused (SAML Core 2.5.1).
    #[error("The assertion has a condition that is not understood: {0}.")]
    UnknownCondition(Quoted),
    /// No way to confirm the subject holds.
    #[error("The assertion is not confirmed for us: {0}.")]
    Confirmation(ConfirmationRefused),
    /// The NameID names nobody.
    #[error("The NameID is empty, too long, or holds control characters.")]
    NameId,
    /// The subject is named in a way that is not supported.
    #[error("The subject has no NameID; let the identity provider send one.")]
    NoNameId,
    /// Nobody signed in.
    #[error("The assertion has no AuthnStatement: it does not say that somebody signed in.")]
    NoAuthnStatement,
    /// Signed in longer ago than was asked for.
    #[error("The sign-in at the identity provider is of {0}: older than this portal asks for.")]
    StaleAuthentication(Timestamp),
    /// Signed in some other way than was asked for.
    #[error("The sign-in was by {0}, which this portal does not accept; let the identity provider ask for more.")]
    AuthnContext(Quoted),
    /// The provider's session is over already.
    #[error("The identity provider's own session ended at {0}.")]
    SessionOver(Timestamp),
    /// An attribute that cannot be read.
    #[error("An attribute is encrypted on its own; let the identity provider encrypt the whole assertion instead.")]
    EncryptedAttribute,
    /// More attributes or values than are read.
    #[error("The assertion has more than {0} attributes or values; let the identity provider send fewer groups.")]
    TooManyAttributes(usize),
}

/// Why a SubjectConfirmation does not hold (SAML Profiles 4.1.4.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmationRefused {
    /// No bearer confirmation at all.
    #[error("there is no SubjectConfirmation of method bearer")]
    NoBearer,
    /// It has no data.
    #[error("it has no SubjectConfirmationData")]
    NoData,
    /// Recipient missing.
    #[error("it names no Recipient")]
    NoRecipient,
    /// Recipient is another address.
    #[error("its Recipient is {found}, but we are at {expected}")]
    Recipient {
        /// The Recipient.
        found: Quoted,
        /// Our address.
        expected: Quoted,
    },
    /// It has a NotBefore, which a bearer may not have.
    #[error("it has a NotBefore")]
    NotBefore,
    /// It never ends.
    #[error("it has no NotOnOrAfter in UTC")]
    NoEnd,
    /// It has ended.
    #[error("it ended at {0}")]
    Expired(Timestamp),
    /// It answers another request.
    #[error("it answers {0}, which is not what was asked")]
    InResponseTo(Quoted),
    /// It does not say what it answers.
    #[error("it does not say which request it answers")]
    NoInResponseTo,
}

impl ConfirmationRefused {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoBearer => "saml_no_bearer",
            Self::NoData | Self::NotBefore | Self::NoEnd => "saml_confirmation",
            Self::NoRecipient | Self::Recipient { .. } => "saml_recipient",
            Self::Expired(_) => "saml_expired",
            Self::InResponseTo(_) | Self::NoInResponseTo => "saml_in_response_to",
        }
    }
}

impl SamlRejected {
    /// The label for logs, metrics and `vestibule saml verify`, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "saml_too_large",
            Self::NotBase64 => "saml_not_base64",
            Self::Xml(_) => "saml_xml",
            Self::Shape(_) | Self::Version(_) | Self::NoId(_) | Self::Time(_) => "saml_malformed",
            Self::NotAResponse(_) => "saml_not_a_response",
            Self::Assertions(_) => "saml_assertion_count",
            Self::DuplicateId => "saml_duplicate_id",
            Self::Signature(refused) => refused.reason(),
            Self::Unsigned => "saml_unsigned",
            Self::Encryption(refused) => refused.reason(),
            Self::DecryptionPaused => "saml_decryption_paused",
            Self::Status { .. } => "saml_status",
            Self::NoDestination | Self::Destination { .. } => "saml_destination",
            Self::Issuer { .. } => "saml_issuer",
            Self::Stale { .. } | Self::Early { .. } => "saml_issue_instant",
            Self::InResponseTo { .. } | Self::NoInResponseTo(_) => "saml_in_response_to",
            Self::NoAudience | Self::Audience { .. } => "saml_audience",
            Self::NotYetValid(_) => "saml_not_yet_valid",
            Self::Expired(_) => "saml_expired",
            Self::UnknownCondition(_) => "saml_unknown_condition",
            Self::Confirmation(refused) => refused.reason(),
            Self::NameId | Self::NoNameId => "saml_name_id",
            Self::NoAuthnStatement => "saml_no_authn_statement",
            Self::StaleAuthentication(_) => "saml_stale_authentication",
            Self::AuthnContext(_) => "saml_authn_context",
            Self::SessionOver(_) => "saml_session_over",
            Self::EncryptedAttribute | Self::TooManyAttributes(_) => "saml_attributes",
        }
    }

    /// All labels that [`reason`](Self::reason) can give.
    pub const REASONS: &'static [&'static str] = &[
        "saml_assertion_count",
        "saml_attributes",
        "saml_audience",
        "saml_authn_context",
        "saml_confirmation",
        "saml_decryption_failed",
        "saml_decryption_paused",
        "saml_destination",
        "saml_duplicate_id",
        "saml_encryption_malformed",
        "saml_encryption_unsupported",
        "saml_expired",
        "saml_in_response_to",
        "saml_issue_instant",
        "saml_issuer",
        "saml_malformed",
        "saml_name_id",
        "saml_no_authn_statement",
        "saml_no_bearer",
        "saml_no_decryption_key",
        "saml_not_a_response",
        "saml_not_base64",
        "saml_not_yet_valid",
        "saml_recipient",
        "saml_session_over",
        "saml_signature_invalid",
        "saml_signature_shape",
        "saml_stale_authentication",
        "saml_status",
        "saml_too_large",
        "saml_unknown_condition",
        "saml_unsigned",
        "saml_weak_algorithm",
        "saml_xml",
    ];

    /// What to tell the operator.
    pub fn sentence(&self) -> String {
        self.to_string()
    }
}
