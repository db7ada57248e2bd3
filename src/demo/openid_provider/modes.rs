//! The ways in which the provider can misbehave, each with its name and with what a right relying party makes of it.
//!
//! Names that start with `oidcc-client-` and `fapi2-` are those of the OpenID Foundation's conformance suite; the others
//! start with the case of `docs/security.md` that they belong to.

use crate::sign_in::settings::SigningAlgorithm;

/// What a right relying party does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Signs the person in.
    SignsIn,
    /// Signs nobody in.
    Refuses,
    /// The standard leaves it open, or it depends on what the relying party asked for; it must stay whole.
    Either,
}

/// How a mode can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// By `login_hint=mode:NAME` on one authorization request, too.
    Request,
    /// Only for a whole issuer (`set_mode`, or the mode's own issuer), because metadata or keys take part.
    Issuer,
}

macro_rules! modes {
    ($($variant:ident $name:literal $expected:ident $reach:ident $what:literal;)*) => {
        /// One way to behave.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mode {
            $(#[doc = $what] $variant,)*
        }

        impl Mode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name of the test module or case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What a right relying party does. It pins the ID token's algorithm to the one that discovery names.
            pub const fn expected(self) -> Expected {
                match self { $(Self::$variant => Expected::$expected,)* }
            }

            /// How it can be asked for.
            pub const fn reach(self) -> Reach {
                match self { $(Self::$variant => Reach::$reach,)* }
            }

            /// What the provider does, in words.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => $what,)* }
            }
        }
    };
}

modes! {
    // The suite's basic plan.
    Honest "oidcc-client-test" SignsIn Request "Everything is right.";
    InvalidIss "oidcc-client-test-invalid-iss" Refuses Request "The ID token names another issuer.";
    MissingSub "oidcc-client-test-missing-sub" Refuses Request "The ID token has no `sub`.";
    InvalidAud "oidcc-client-test-invalid-aud" Refuses Request "The ID token is meant for another client.";
    MissingIat "oidcc-client-test-missing-iat" Refuses Request "The ID token has no `iat`.";
    KidAbsentSingleJwks "oidcc-client-test-kid-absent-single-jwks" SignsIn Issuer "One key, and no `kid` anywhere.";
    KidAbsentMultipleJwks "oidcc-client-test-kid-absent-multiple-jwks" Either Issuer "Two keys, and no `kid` anywhere.";
    IdTokenSigRs256 "oidcc-client-test-idtoken-sig-rs256" SignsIn Issuer "The ID token is signed with RS256.";
    IdTokenSigNone "oidcc-client-test-idtoken-sig-none" Refuses Request "The ID token says `none` and is unsigned.";
    InvalidSigRs256 "oidcc-client-test-invalid-sig-rs256" Refuses Issuer "One bit of the RS256 signature is flipped.";
    UserInfoInvalidSub "oidcc-client-test-userinfo-invalid-sub" Refuses Request "UserInfo tells of another person.";
    NonceInvalid "oidcc-client-test-nonce-invalid" Refuses Request "The ID token has another nonce.";
    ScopeUserInfoClaims "oidcc-client-test-scope-userinfo-claims" SignsIn Request "Only UserInfo tells the e-mail address.";
    ClientSecretBasic "oidcc-client-test-client-secret-basic" SignsIn Issuer "Only `client_secret_basic` is announced and taken; private keys are refused.";
    // The suite's configuration plan.
    DiscoveryOpenIdConfig "oidcc-client-test-discovery-openid-config" SignsIn Issuer "Discovery is right.";
    DiscoveryJwksUriKeys "oidcc-client-test-discovery-jwks-uri-keys" SignsIn Issuer "The key set is right.";
    DiscoveryIssuerMismatch "oidcc-client-test-discovery-issuer-mismatch" Refuses Issuer "Discovery names another issuer.";
    KeyRotationJustBeforeSigning "oidcc-client-test-signing-key-rotation-just-before-signing" SignsIn Issuer "Keys are changed after the code was given, and the new one signs.";
    KeyRotation "oidcc-client-test-signing-key-rotation" SignsIn Issuer "Keys are changed at each authorization request.";
    // The suite's comprehensive plan, as far as it concerns the code flow.
    MissingAud "oidcc-client-test-missing-aud" Refuses Request "The ID token has no `aud`.";
    UserInfoBearerHeader "oidcc-client-test-userinfo-bearer-header" SignsIn Request "UserInfo takes the access token in the header alone.";
    NonceUnlessCodeFlow "oidcc-client-test-nonce-unless-code-flow" SignsIn Request "A nonce that was sent comes back.";
    MissingCHash "oidcc-client-test-missing-chash" SignsIn Request "The ID token has no `c_hash`.";
    InvalidCHash "oidcc-client-test-invalid-chash" Refuses Request "The ID token has a `c_hash` of another code.";
    MissingAtHash "oidcc-client-test-missing-athash" SignsIn Request "The ID token has no `at_hash`.";
    InvalidAtHash "oidcc-client-test-invalid-athash" Refuses Request "The ID token has the `at_hash` of another access token.";
    FormPostError "oidcc-client-test-form-post-error" Refuses Request "An error is posted, though a query was asked for.";
    InvalidSigHs256 "oidcc-client-test-invalid-sig-hs256" Refuses Request "The ID token says HS256 and is signed with some other secret.";
    InvalidSigEs256 "oidcc-client-test-invalid-sig-es256" Refuses Issuer "One bit of the ES256 signature is flipped.";
    AggregatedClaims "oidcc-client-test-aggregated-claims" SignsIn Request "Unneeded claims come in a JWT of another issuer.";
    DistributedClaims "oidcc-client-test-distributed-claims" SignsIn Request "Unneeded claims are to be fetched elsewhere: nobody should.";
    MtlsEndpointAliases "oidcc-client-test-mtls-endpoint-aliases" SignsIn Issuer "Discovery has endpoints for mutual TLS, which nobody asked for.";
    UserInfoSigned "oidcc-client-test-userinfo-signed" Either Request "UserInfo answers with a rightly signed JWT.";
    // FAPI 2.0: what OpenID Connect's plans leave out.
    Fapi2HappyPath "fapi2-security-profile-final-client-test-happy-path" SignsIn Request "Everything is right.";
    RemoveAuthorizationResponseIss "fapi2-security-profile-final-client-test-remove-authorization-response-iss" Refuses Request "The answer has no `iss`, though metadata promises one.";
    InvalidAuthorizationResponseIss "fapi2-security-profile-final-client-test-invalid-authorization-response-iss" Refuses Request "The answer's `iss` is another provider.";
    InvalidState "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-state-fails" Refuses Request "The answer has another state.";
    MissingState "fapi2-security-profile-final-client-test-ensure-authorization-response-with-invalid-missing-state-fails" Refuses Request "The answer has no state.";
    ExpiredExp "fapi2-security-profile-final-client-test-invalid-expired-exp" Refuses Request "The ID token expired an hour ago.";
    MissingExp "fapi2-security-profile-final-client-test-invalid-missing-exp" Refuses Request "The ID token has no `exp`.";
    MissingIss "fapi2-security-profile-final-client-test-invalid-missing-iss" Refuses Request "The ID token has no `iss`.";
    Fapi2MissingAud "fapi2-security-profile-final-client-test-invalid-missing-aud" Refuses Request "The ID token has no `aud`.";
    MissingNonce "fapi2-security-profile-final-client-test-invalid-missing-nonce" Refuses Request "The ID token has no nonce.";
    SecondaryAud "fapi2-security-profile-final-client-test-invalid-secondary-aud" Refuses Request "The ID token is meant for us and for somebody we do not know.";
    AudAsArray "fapi2-security-profile-final-client-test-valid-aud-as-array" SignsIn Request "`aud` is an array of only us.";
    AlternateAlg "fapi2-security-profile-final-client-test-invalid-alternate-alg" Refuses Issuer "The RS256 key signs with RS384.";
    NullAlg "fapi2-security-profile-final-client-test-invalid-null-alg" Refuses Request "The ID token says `none` and is unsigned.";
    TokenTypeCaseInsensitivity "fapi2-security-profile-final-client-test-token-type-case-insensitivity" SignsIn Request "`token_type` is `bEaReR`.";
    Fapi2DiscoveryIssuerMismatch "fapi2-security-profile-final-client-test-discovery-issuer-mismatch" Refuses Issuer "Discovery names another issuer.";
    // B1, B2, B3: algorithms and signatures.
    AlgNoneCapital "b1-alg-none-capital" Refuses Request "`alg` is `None`, unsigned.";
    AlgNoneMixed "b1-alg-none-mixed" Refuses Request "`alg` is `nOnE`, unsigned.";
    SignatureEmpty "b1-signature-empty" Refuses Request "The right `alg` over an empty signature.";
    TwoDotsOnly "b1-two-dots-only" Refuses Request "The ID token is two dots.";
    Hs256PublicPem "b2-hs256-public-pem" Refuses Request "HS256 keyed with the public key as PEM.";
    Hs256PublicJwk "b2-hs256-public-jwk" Refuses Request "HS256 keyed with the public key as JWK.";
    Hs256ClientSecret "b2-hs256-client-secret" Refuses Request "HS256 rightly keyed with the client secret.";
    Ps256Unregistered "b2-ps256-unregistered" Refuses Issuer "The RS256 key signs with PS256.";
    Es256Unregistered "b2-es256-unregistered" Refuses Issuer "A published key signs with ES256, which discovery does not name.";
    AlgMissing "b2-alg-missing" Refuses Request "The header has no `alg`.";
    BitFlippedHs256 "b3-bit-flipped-hs256" Refuses Request "HS256 keyed with the client secret, one bit flipped.";
    Es256Der "b3-es256-der" Refuses Issuer "The ES256 signature is DER and not raw.";
    Es256Zero "b3-es256-zero" Refuses Issuer "The ES256 signature is r = s = 0.";
    SignatureOfAnother "b3-signature-of-another-token" Refuses Request "The signature belongs to another token.";
    // B4: key ids and keys in the header.
    KidUnknown "b4-kid-unknown" Refuses Request "A stranger's key signs, with a `kid` that nobody published.";
    KidPath "b4-kid-path" Refuses Request "`kid` is a path to an empty file, HS256 keyed with nothing.";
    KidSql "b4-kid-sql" Refuses Request "`kid` is SQL that yields the secret of the HS256.";
    KidUrl "b4-kid-url" Refuses Request "`kid` is the address of a stranger's key.";
    KidDuplicate "b4-kid-duplicate" Either Issuer "Two keys have the same `kid`; the second one signs.";
    Jku "b4-jku" Refuses Request "The header points to a stranger's key set, and the stranger signs.";
    X5u "b4-x5u" Refuses Request "The header points to a stranger's certificate, and the stranger signs.";
    JwkHeader "b4-jwk-header" Refuses Request "The header carries a stranger's key, and the stranger signs.";
    X5cHeader "b4-x5c-header" Refuses Request "The header carries a stranger's certificate, and the stranger signs.";
    // B5: the key set.
    Jwks500 "b5-jwks-500" Refuses Issuer "The key set answers 500.";
    JwksTenMegabytes "b5-jwks-10-mb" Refuses Issuer "The key set is right, followed by 10 MB of blanks.";
    JwksHtml "b5-jwks-html" Refuses Issuer "The key set is a page.";
    JwksRedirect "b5-jwks-redirect" Refuses Issuer "The key set is elsewhere.";
    JwksNever "b5-jwks-slow" Refuses Issuer "The key set never answers.";
    JwksEmpty "b5-jwks-empty" Refuses Issuer "The key set holds no key.";
    JwksOct "b5-jwks-oct-key" Refuses Issuer "The key set holds a symmetric key, which signs with HS256.";
    JwksOctBeside "b5-jwks-oct-key-beside" SignsIn Issuer "The key set also holds a symmetric key and one of a kind that nobody knows.";
    JwksRsa512 "b5-jwks-rsa-512" Refuses Issuer "The key has 512 bits, and signs rightly.";
    JwksUseEnc "b5-jwks-use-enc" Refuses Issuer "The key that signs is published for encryption.";
    JwksKeyOps "b5-jwks-key-ops-encrypt" Refuses Issuer "The key that signs is published with `key_ops` of encryption.";
    // B6, B7: issuer and audience.
    IssTrailingSlash "b6-iss-trailing-slash" Refuses Request "`iss` has a slash more.";
    IssCase "b6-iss-case" Refuses Request "`iss` is in upper case.";
    IssTenantTemplate "b6-iss-tenant-template" Refuses Request "`iss` is a template.";
    IssArray "b6-iss-array" Refuses Request "`iss` is an array that holds the right one.";
    AudEmpty "b7-aud-empty" Refuses Request "`aud` is an empty array.";
    AudNumber "b7-aud-number" Refuses Request "`aud` is a number.";
    AzpOther "b7-azp-other" Refuses Request "`azp` is another client.";
    AzpOurs "b7-azp-ours" SignsIn Request "`azp` is us.";
    AudUntrustedAzpOurs "b7-aud-untrusted-azp-ours" Refuses Request "`aud` has somebody we do not know, and `azp` is us.";
    // B8: times.
    ExpThirtySecondsAgo "b8-exp-30s-ago" Either Request "Expired 30 s ago: within the skew that may be allowed.";
    ExpFiveMinutesAgo "b8-exp-300s-ago" Refuses Request "Expired 300 s ago.";
    ExpNow "b8-exp-now" Either Request "Expires this second.";
    IatThirtySecondsAhead "b8-iat-30s-ahead" SignsIn Request "Issued 30 s ahead: within the skew.";
    IatFiveMinutesAhead "b8-iat-300s-ahead" Refuses Request "Issued 300 s ahead.";
    IatYearOld "b8-iat-year-old" Refuses Request "Issued a year before it was asked for.";
    NbfThirtySecondsAhead "b8-nbf-30s-ahead" SignsIn Request "Valid 30 s from now: within the skew.";
    NbfFiveMinutesAhead "b8-nbf-300s-ahead" Refuses Request "Valid 300 s from now.";
    TimesFloat "b8-times-float" Either Request "Times have fractions, as RFC 7519 allows.";
    ExpString "b8-exp-string" Refuses Request "`exp` is text.";
    IatString "b8-iat-string" Refuses Request "`iat` is text.";
    NbfString "b8-nbf-string" Refuses Request "`nbf` is text.";
    ExpTwoToThe53 "b8-exp-2-53" Either Request "`exp` is 2^53.";
    ExpMaximum "b8-exp-maximum" Either Request "`exp` is the greatest unsigned 64-bit number.";
    ExpExponent "b8-exp-1e300" Either Request "`exp` is 1e300.";
    ExpNegative "b8-exp-negative" Refuses Request "`exp` is negative.";
    IatNegative "b8-iat-negative" Refuses Request "`iat` is negative.";
    AuthTimeMissing "b8-auth-time-missing" Either Request "`auth_time` is missing: wrong when `max_age` was asked.";
    AuthTimeOld "b8-auth-time-old" Either Request "`auth_time` is a day ago: wrong when less was asked by `max_age`.";
    AuthTimeString "b8-auth-time-string" Refuses Request "`auth_time` is text.";
    // B9, B10: nonce and subject.
    NonceReused "b9-nonce-reused" Refuses Request "The nonce of another sign-in.";
    NonceNumber "b9-nonce-number" Refuses Request "The nonce is a number.";
    SubEmpty "b10-sub-empty" Refuses Request "`sub` is empty.";
    Sub256 "b10-sub-256" Refuses Request "`sub` has 256 characters.";
    SubNumber "b10-sub-number" Refuses Request "`sub` is a number.";
    // B14, B15, B17, B18: the authorization response.
    PkceMethodsMissing "b14-pkce-methods-missing" SignsIn Issuer "Discovery does not name PKCE methods.";
    IssDuplicate "b15-iss-duplicate" Refuses Request "The answer has `iss` twice: ours and another.";
    ErrorScript "b17-error-script" Refuses Request "An error with a script in its description.";
    ErrorWrongState "b17-error-wrong-state" Refuses Request "An error with another state.";
    CodeAndError "b17-code-and-error" Refuses Request "The answer has a code and an error.";
    ErrorUnknown "b17-error-unknown" Refuses Request "An error that no standard knows.";
    ResponseFragment "b18-fragment" Refuses Request "The answer is in the fragment.";
    ResponseFormPost "b18-form-post" Refuses Request "The answer is posted.";
    CodeTwice "b18-code-twice" Refuses Request "The answer has two codes.";
    CodeHuge "b18-code-100-kb" Refuses Request "The code has 100 kB.";
    CodeMissing "b18-code-missing" Refuses Request "The answer has no code.";
    // B19: the token endpoint.
    TokenTypeMissing "b19-token-type-missing" Refuses Request "`token_type` is missing.";
    TokenTypeMac "b19-token-type-mac" Refuses Request "`token_type` is `MAC`.";
    TokenTypeMixed "b19-token-type-mixed" SignsIn Request "`token_type` is `bEaReR`.";
    NoIdToken "b19-no-id-token" Refuses Request "There is no ID token.";
    ExpiresInNegative "b19-expires-in-negative" Either Request "`expires_in` is negative.";
    ExpiresInHuge "b19-expires-in-huge" Either Request "`expires_in` is the greatest unsigned 64-bit number.";
    ExpiresInString "b19-expires-in-string" Either Request "`expires_in` is text.";
    TokenRedirect "b19-redirect" Refuses Request "The token endpoint is elsewhere.";
    TokenErrorWith200 "b19-200-error" Refuses Request "An error comes with status 200.";
    TokenHtml "b19-html" Refuses Request "The token endpoint answers with a page.";
    TokenNever "b19-slow" Refuses Request "The token endpoint never answers.";
    TokenFiftyMegabytes "b19-50-mb" Refuses Request "The right answer, followed by 50 MB of blanks.";
    TokenGzipBomb "b19-gzip-bomb" Refuses Request "The right answer, followed by 50 MB of blanks, compressed unasked.";
    Token500 "b19-500" Refuses Request "The token endpoint answers 500.";
    TokenEmpty "b19-empty" Refuses Request "The token endpoint answers with nothing.";
    // B21: UserInfo, and e-mail.
    UserInfoSubMissing "b21-userinfo-sub-missing" Refuses Request "UserInfo has no `sub`.";
    UserInfoEmailVerifiedString "b21-userinfo-email-verified-string" Refuses Request "UserInfo's `email_verified` is the text `false`.";
    EmailVerifiedString "b21-email-verified-string" Refuses Request "The ID token's `email_verified` is the text `false`.";
    UserInfoRedirect "b21-userinfo-redirect" Refuses Request "UserInfo is elsewhere.";
    UserInfo500 "b21-userinfo-500" Refuses Request "UserInfo answers 500.";
    UserInfoHtml "b21-userinfo-html" Refuses Request "UserInfo is a page.";
    UserInfoFiftyMegabytes "b21-userinfo-50-mb" Refuses Request "The right UserInfo, followed by 50 MB of blanks.";
    UserInfoNever "b21-userinfo-slow" Refuses Request "UserInfo never answers.";
    UserInfoSignedNone "b21-userinfo-signed-none" Refuses Request "UserInfo is a JWT that says `none`.";
    UserInfoSignedWrongAud "b21-userinfo-signed-wrong-aud" Refuses Request "UserInfo is a JWT for another client.";
    UserInfoSignedStranger "b21-userinfo-signed-stranger" Refuses Request "UserInfo is a JWT that a stranger signed.";
    // B22: discovery.
    DiscoveryIssuerTrailingSlash "b22-issuer-trailing-slash" Refuses Issuer "Discovery's issuer has a slash more.";
    JwksUriMissing "b22-jwks-uri-missing" Refuses Issuer "Discovery has no `jwks_uri`.";
    TokenEndpointMissing "b22-token-endpoint-missing" Refuses Issuer "Discovery has no token endpoint.";
    TokenEndpointLinkLocal "b22-token-endpoint-link-local" Refuses Issuer "The token endpoint is http://169.254.169.254.";
    TokenEndpointFile "b22-token-endpoint-file" Refuses Issuer "The token endpoint is a file.";
    JwksUriLinkLocal "b22-jwks-uri-link-local" Refuses Issuer "The key set is at http://169.254.169.254.";
    AuthorizationEndpointScript "b22-authorization-endpoint-script" Refuses Issuer "The authorization endpoint is a script.";
    AuthorizationEndpointPlainHttp "b22-authorization-endpoint-plain-http" Refuses Issuer "The authorization endpoint is on another host, without TLS.";
    DiscoveryRedirect "b22-discovery-redirect" Refuses Issuer "Discovery is elsewhere.";
    DiscoveryHtml "b22-discovery-html" Refuses Issuer "Discovery is a page.";
    Discovery500 "b22-discovery-500" Refuses Issuer "Discovery answers 500.";
    DiscoveryFiftyMegabytes "b22-discovery-50-mb" Refuses Issuer "The right discovery, followed by 50 MB of blanks.";
    DiscoveryNever "b22-discovery-slow" Refuses Issuer "Discovery never answers.";
    // B31, B32: the form and the type of the token.
    FourParts "b31-four-parts" Refuses Request "The ID token has a fourth part.";
    Encrypted "b31-jwe" Refuses Request "The ID token has the form of an encrypted one.";
    Padding "b31-padding" Refuses Request "The parts of the ID token are padded.";
    Crit "b31-crit" Refuses Request "The header demands an extension that nobody knows.";
    UnencodedPayload "b31-b64-false" Refuses Request "The header says that the payload is not encoded (RFC 7797), as a critical extension.";
    DuplicateSub "b31-duplicate-sub" Refuses Request "The claims hold `sub` twice.";
    DeeplyNested "b31-nested-10000" Refuses Request "A claim is nested 10 000 deep.";
    ByteOrderMark "b31-bom" Refuses Request "The claims start with a byte order mark.";
    TypAccessToken "b32-typ-at-jwt" Refuses Request "The token's type is that of an access token.";
    TypLogoutToken "b32-typ-logout-jwt" Refuses Request "The token's type is that of a logout token.";
}

impl Mode {
    /// Finds a mode by its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.name() == name)
    }

    /// The algorithm that this mode needs, whatever the settings say.
    pub const fn algorithm(self) -> Option<SigningAlgorithm> {
        match self {
            Self::IdTokenSigRs256
            | Self::InvalidSigRs256
            | Self::AlternateAlg
            | Self::Ps256Unregistered
            | Self::Es256Unregistered
            | Self::JwksRsa512 => Some(SigningAlgorithm::Rs256),
            Self::InvalidSigEs256 | Self::Es256Der | Self::Es256Zero => Some(SigningAlgorithm::Es256),
            _ => None,
        }
    }

    /// Whether an endpoint never answers: the relying party's time limit decides how long a test takes.
    pub const fn stalls(self) -> bool {
        matches!(self, Self::JwksNever | Self::TokenNever | Self::UserInfoNever | Self::DiscoveryNever)
    }

    /// Whether the ID token leaves the e-mail address out, so that UserInfo has to be asked.
    pub(super) const fn needs_userinfo(self) -> bool {
        matches!(
            self,
            Self::UserInfoInvalidSub
                | Self::ScopeUserInfoClaims
                | Self::UserInfoBearerHeader
                | Self::UserInfoSigned
                | Self::UserInfoSubMissing
                | Self::UserInfoEmailVerifiedString
                | Self::UserInfoRedirect
                | Self::UserInfo500
                | Self::UserInfoHtml
                | Self::UserInfoFiftyMegabytes
                | Self::UserInfoNever
                | Self::UserInfoSignedNone
                | Self::UserInfoSignedWrongAud
                | Self::UserInfoSignedStranger
        )
    }
}
