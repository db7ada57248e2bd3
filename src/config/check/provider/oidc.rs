//! OpenID providers.

use crate::config::check::{Check, all, days, minutes, seconds};
use crate::config::raw::{RawAlgorithm, RawClaims, RawClientAuthentication, RawOidc, RawSecret};
use crate::config::tree::Place;
use crate::secret::Secret;
use crate::sign_in::settings::{ClaimNames, ClientAuthentication, EmailTrust, OidcSettings, SigningAlgorithm};

impl Check<'_> {
    pub(super) fn oidc(&mut self, place: &Place<'_>, raw: &RawOidc) -> Option<OidcSettings> {
        let issuer = self.issuer(&place.key("issuer"), &raw.issuer);
        let client_id = self.token(&place.key("client_id"), &raw.client_id, 256);
        let client_authentication = self.client_authentication(place, raw);
        let scopes = self.scopes(&place.key("scopes"), raw.scopes.as_deref());
        let algorithms = self.algorithms(&place.key("algorithms"), raw.algorithms.as_deref());
        let claims = self.claims(&place.key("claims"), raw.claims.as_ref());
        let max_age = raw.max_age.as_ref().map_or(Some(None), |given| {
            self.duration(&place.key("max_age"), Some(given), minutes(60), minutes(1)..=days(30)).map(Some)
        });
        let acr_place = place.key("acr_values");
        let acr_values: Vec<_> = raw
            .acr_values
            .as_deref()
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(index, value)| self.token(&acr_place.index(index), value, 256))
            .collect();
        self.distinct(&acr_place, &acr_values);
        // OpenID Connect Core 3.1.3.7 allows "some small leeway": more than a minute would keep dead tokens alive.
        let clock_skew =
            self.duration(&place.key("clock_skew"), raw.clock_skew.as_ref(), minutes(1), seconds(0)..=minutes(1));
        Some(OidcSettings {
            issuer: issuer?,
            issuer_text: raw.issuer.clone(),
            client_id: client_id?,
            client_authentication: client_authentication?,
            scopes: scopes?,
            algorithms: algorithms?,
            claims: claims?,
            email_trust: match raw.email_is_verified {
                Some(_) => EmailTrust::DangerouslyAlways,
                None => EmailTrust::AsClaimed,
            },
            max_age: max_age?,
            acr_values: all(acr_values)?,
            clock_skew: clock_skew?,
            sign_out_at_provider: raw.sign_out_at_provider.unwrap_or(false),
        })
    }

    fn issuer(&mut self, place: &Place<'_>, text: &str) -> Option<url::Url> {
        let issuer = self.site(place, text)?;
        if text.contains("/.well-known/") {
            self.fault(place, "is the address of a document", "end it before \"/.well-known\"");
            return None;
        }
        Some(issuer)
    }

    fn client_authentication(&mut self, place: &Place<'_>, raw: &RawOidc) -> Option<ClientAuthentication> {
        let key_place = place.key("private_key_jwt");
        if raw.private_key_jwt.is_none() && raw.key_id.is_some() {
            self.fault(&place.key("key_id"), "belongs to private_key_jwt, which is not given", "remove it");
        }
        match (&raw.client_secret, &raw.private_key_jwt) {
            (Some(secret), None) => {
                // RFC 6749, appendix A.2: VSCHAR.
                let secret = self.secret(&place.key("client_secret"), secret, |c| c.is_ascii())?;
                Some(match raw.client_authentication {
                    None | Some(RawClientAuthentication::ClientSecretBasic) => {
                        ClientAuthentication::SecretBasic(secret)
                    }
                    Some(RawClientAuthentication::ClientSecretPost) => ClientAuthentication::SecretPost(secret),
                })
            }
            (None, Some(key)) => {
                if raw.client_authentication.is_some() {
                    let what = "says how client_secret is sent, and private_key_jwt is given";
                    self.fault(&place.key("client_authentication"), what, "remove it");
                }
                let key = self.signing_key(&key_place, key);
                let key_id = match &raw.key_id {
                    Some(id) => Some(self.token(&place.key("key_id"), id, 256)?),
                    None => None,
                };
                Some(ClientAuthentication::PrivateKeyJwt { key: key?, key_id })
            }
            (Some(_), Some(_)) => {
                self.fault(&key_place, "client_secret is given too", "keep one of them");
                None
            }
            (None, None) => {
                // What `structure` has said of a misspelt client_secret is enough.
                if !self.report.is_broken(&place.key("client_secret")) && !self.report.is_broken(&key_place) {
                    let cure = "add client_secret or private_key_jwt";
                    self.fault(place, "does not say how the gateway proves who it is", cure);
                }
                None
            }
        }
    }

    fn signing_key(&mut self, place: &Place<'_>, raw: &RawSecret) -> Option<Secret> {
        let key = self.any_secret(place, raw)?;
        if key.reveal().contains("-----BEGIN RSA PRIVATE KEY-----")
            || key.reveal().contains("-----BEGIN EC PRIVATE KEY-----")
        {
            let cure = "openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW";
            self.fault(place, "is a private key in its old form, not PKCS#8", cure);
            return None;
        }
        self.private_key(place, key.reveal().as_bytes())?;
        Some(key)
    }

    fn scopes(&mut self, place: &Place<'_>, raw: Option<&[String]>) -> Option<Vec<String>> {
        let Some(raw) = raw else { return Some(["openid", "email", "profile"].map(str::to_owned).to_vec()) };
        let each = |(index, scope): (usize, &String)| {
            // RFC 6749, section 3.3: scope-token.
            let sound = scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
            if !sound || scope.is_empty() {
                let cure = "one scope for each line, without spaces and quotes";
                self.fault(&place.index(index), "is not a scope", cure);
            }
            sound.then(|| scope.clone())
        };
        let scopes: Vec<_> = raw.iter().enumerate().map(each).collect();
        self.distinct(place, &scopes);
        let mut scopes = all(scopes)?;
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".to_owned());
        }
        Some(scopes)
    }

    fn algorithms(&mut self, place: &Place<'_>, raw: Option<&[RawAlgorithm]>) -> Option<Vec<SigningAlgorithm>> {
        use SigningAlgorithm::{EdDsa, Es256, Ps256, Rs256};
        let Some(raw) = raw else { return Some(vec![Rs256, Ps256, Es256, EdDsa]) };
        if raw.is_empty() {
            self.fault(place, "is empty: no ID token would be accepted", "name at least one, or remove the key");
        }
        let algorithms: Vec<_> = raw.iter().map(algorithm).collect();
        let names: Vec<_> = algorithms.iter().map(|algorithm| Some(algorithm.name())).collect();
        self.distinct(place, &names);
        Some(algorithms)
    }

    fn claims(&mut self, place: &Place<'_>, raw: Option<&RawClaims>) -> Option<ClaimNames> {
        let nothing = RawClaims::default();
        let raw = raw.unwrap_or(&nothing);
        let default = ClaimNames::default();
        let mut name = |key: &str, given: Option<&String>, default: String| {
            given.map_or(Some(default), |given| self.text(&place.key(key), given, 256))
        };
        let email = name("email", raw.email.as_ref(), default.email);
        let display_name = name("display_name", raw.display_name.as_ref(), default.display_name);
        let groups = name("groups", raw.groups.as_ref(), default.groups);
        Some(ClaimNames { email: email?, display_name: display_name?, groups: groups? })
    }
}

fn algorithm(raw: &RawAlgorithm) -> SigningAlgorithm {
    match raw {
        RawAlgorithm::RS256 => SigningAlgorithm::Rs256,
        RawAlgorithm::RS384 => SigningAlgorithm::Rs384,
        RawAlgorithm::RS512 => SigningAlgorithm::Rs512,
        RawAlgorithm::PS256 => SigningAlgorithm::Ps256,
        RawAlgorithm::PS384 => SigningAlgorithm::Ps384,
        RawAlgorithm::PS512 => SigningAlgorithm::Ps512,
        RawAlgorithm::ES256 => SigningAlgorithm::Es256,
        RawAlgorithm::ES384 => SigningAlgorithm::Es384,
        RawAlgorithm::EdDSA => SigningAlgorithm::EdDsa,
    }
}
