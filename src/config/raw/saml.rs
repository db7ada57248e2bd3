//! SAML identity providers, as they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, RawEmailIsVerified, RawSecret, SizeText};

/// A SAML identity provider.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawSaml {
    /// The provider's metadata: an `https` address, which is looked at again in the background, or a file, which is read again
    /// when it changes. Everything that is believed of the provider comes from there, its keys above all.
    #[schemars(example = "https://adfs.globex.com/FederationMetadata/2007-06/FederationMetadata.xml")]
    pub metadata: String,
    /// The certificates that the metadata has to be signed by, PEM. Without it, the metadata need not be signed: then an
    /// `https` address, or your own file, is all that vouches for it.
    #[schemars(example = serde_json::json!({ "file": "certs/federation.pem" }))]
    pub metadata_certificate: Option<RawSecret>,
    /// How often metadata is looked for at its address, unless it says itself how long it may be kept.
    #[schemars(extend("default" = "1h"))]
    pub metadata_refresh: Option<DurationText>,
    /// The provider's entity id. Needed when the metadata describes several providers, as that of a federation does.
    pub entity_id: Option<String>,
    /// The gateway's own entity id, the same for all portals. Without it, each portal has its own: the address of its metadata,
    /// `https://HOST/.vestibule/saml/NAME/metadata`.
    pub our_entity_id: Option<String>,
    /// The gateway's private key, PEM, not encrypted: RSA from 2048 bits, P-256, P-384 or P-521. Requests are signed with it,
    /// and an RSA key opens what is encrypted for it. Goes with `certificate`.
    #[schemars(example = serde_json::json!({ "file": "certs/saml.key" }))]
    pub signing_key: Option<RawSecret>,
    /// The certificate of `signing_key`, PEM. A self-signed one will do; its dates do not count.
    #[schemars(example = serde_json::json!({ "file": "certs/saml.pem" }))]
    pub certificate: Option<RawSecret>,
    /// The next key or the last one, while providers change over: published and opening what is encrypted for it, but never
    /// signing.
    #[schemars(extend("default" = []))]
    pub more_keys: Option<Vec<RawKeyPair>>,
    /// Keys for encryption alone, RSA. With them, the other keys only sign.
    #[schemars(extend("default" = []))]
    pub encryption_keys: Option<Vec<RawKeyPair>>,
    /// Whether the gateway's own metadata is signed, with `signing_key`. Some federations ask for it; most providers do not.
    #[schemars(extend("default" = false))]
    pub sign_metadata: Option<bool>,
    /// How requests travel. Without it, by redirect where the provider offers that.
    pub binding: Option<RawBinding>,
    /// The format of NameID to ask for. Without it, the provider chooses.
    #[schemars(example = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")]
    pub name_id_format: Option<String>,
    /// Whether people have to prove anew who they are, each time.
    #[schemars(extend("default" = false))]
    pub force_authn: Option<bool>,
    /// Authentication context classes to ask for. With `exact` the answer has to be one of them.
    #[schemars(extend("default" = []))]
    pub authn_contexts: Option<Vec<String>>,
    /// How the provider compares its way to sign in with those. With another than `exact` it alone judges.
    #[schemars(extend("default" = "exact"))]
    pub authn_context_comparison: Option<RawComparison>,
    /// How long ago the person may have proved who they are; older means proving it again. Without it, that is for the
    /// provider to say.
    pub max_age: Option<DurationText>,
    /// Names the assertion consumer service by this index in the request, for a provider that takes no address there.
    pub acs_index: Option<u16>,
    /// The same for portals that share `our_entity_id`: the host of each portal, and the index that its assertion consumer
    /// service has in our metadata and in its requests.
    pub acs_indexes: Option<BTreeMap<String, u16>>,
    /// Which attributes mean what. The usual names of the usual providers need no entry.
    pub attributes: Option<RawAttributes>,
    /// The most that the provider's clock and this one may differ.
    #[schemars(extend("default" = "1m"))]
    pub clock_skew: Option<DurationText>,
    /// The largest response, in its encoded form.
    #[schemars(extend("default" = "256KiB"))]
    pub largest_response: Option<SizeText>,
    /// Lets the provider begin sign-ins by itself, from its own page of applications. Who has an account there can then sign
    /// others in as themselves, by a page of their own, and read what these write.
    pub allow_idp_initiated: Option<RawUnsolicited>,
    /// Believes signatures with SHA-1, for a provider that cannot do better. SHA-1 is broken: who can choose what the provider
    /// signs can forge what it did not sign.
    pub sha1_signatures: Option<RawSha1>,
    /// Takes every e-mail address from this provider as verified, though it lists no `email_domains`. Only for a provider
    /// where nobody can enter an address of their own choice: else anybody can become anybody.
    pub email_is_verified: Option<RawEmailIsVerified>,
    /// Whether signing out here asks the provider to sign out, too, there and everywhere else. Needs `signing_key`. The
    /// provider may ask in any case, at `https://HOST/.vestibule/saml/NAME/slo`.
    #[schemars(extend("default" = false))]
    pub sign_out_at_provider: Option<bool>,
}

/// A key of the gateway's own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawKeyPair {
    /// The private key, PEM, not encrypted.
    #[schemars(example = serde_json::json!({ "file": "certs/saml-next.key" }))]
    pub key: RawSecret,
    /// Its certificate, PEM.
    #[schemars(example = serde_json::json!({ "file": "certs/saml-next.pem" }))]
    pub certificate: RawSecret,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawBinding {
    /// HTTP-Redirect.
    Redirect,
    /// HTTP-POST.
    Post,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum RawComparison {
    /// One of those listed.
    Exact,
    /// One of those listed, or a stronger one.
    Minimum,
    /// The strongest that is not stronger than one of those listed.
    Maximum,
    /// A stronger one than all that are listed.
    Better,
}

/// Which attributes mean what, by their `Name`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawAttributes {
    /// The attribute that names the account, in place of the NameID. It has to have one value, for ever the same.
    pub subject: Option<String>,
    /// The attribute with the e-mail address. Without it, the usual names are looked for, then a NameID of format
    /// emailAddress.
    #[schemars(example = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress")]
    pub email: Option<String>,
    /// The attribute with the name to show. Without it, the usual names are looked for.
    #[schemars(example = &"displayName")]
    pub display_name: Option<String>,
    /// The attribute with the list of groups. Without it, the usual names are looked for.
    #[schemars(example = &"memberOf")]
    pub groups: Option<String>,
    /// More claims, by names of your choice: claim to attribute. All attributes are claims under their own names besides.
    pub claims: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-advice" = "remove the key to answer only what was asked"))]
pub(in crate::config) enum RawUnsolicited {
    /// Takes responses that nobody asked for.
    DangerouslyUnasked,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-advice" = "let the provider sign with RSA-SHA256, and remove the key"))]
pub(in crate::config) enum RawSha1 {
    /// RSA-SHA1 and digests with SHA-1.
    DangerouslyBelieved,
}
