//! One order, from the account to the certificate.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, Problem,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::directory::Directory;
use super::issued::{Issued, WantedCertificate};
use super::problem::{OrderFailed, told};
use super::settings::{ChallengeKind, KeyType};
use crate::clock;
use crate::secret::Secret;

/// For all of it, from the order to the chain.
const WHOLE: Duration = Duration::from_secs(5 * 60);
/// Between two looks at first, and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Makes a call again while the authority refuses our nonces, which it may at any time (RFC 8555, section 6.5): nothing was
/// done then. The library itself tries three times.
macro_rules! despite_bad_nonces {
    ($call:expr) => {{
        let mut left = 5_u32;
        loop {
            match $call {
                Err(instant_acme::Error::Api(problem)) if left > 0 && $crate::acme::order::is_bad_nonce(&problem) => {
                    left = left.saturating_sub(1);
                }
                outcome => break outcome,
            }
        }
    }};
}
pub(super) use despite_bad_nonces;

pub(super) fn is_bad_nonce(problem: &Problem) -> bool {
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:badNonce")
}

/// Puts an answer where every gateway finds it.
pub(super) trait Publish: Sync {
    /// Gives back when every gateway has it.
    fn publish(&self, token: &str, key_authorization: &str) -> impl Future<Output = Result<(), OrderFailed>> + Send;
}

/// What one order needs.
pub(super) struct OneOrder<'a, P> {
    pub account: &'a Account,
    pub directory: &'a Directory,
    pub wanted: &'a WantedCertificate,
    pub challenge: ChallengeKind,
    pub profile: Option<&'a str>,
    /// The certificate that the new one takes the place of, where the authority wants to know.
    pub replaces: Option<CertificateIdentifier<'static>>,
    pub answers: &'a P,
}

/// What was issued.
pub(super) struct Delivered {
    /// The chain in PEM.
    pub chain: String,
    /// The key in PEM.
    pub key: Secret,
    /// Both, as they are served.
    pub issued: Issued,
}

impl<P: Publish> OneOrder<'_, P> {
    /// Orders, proves that the host is ours, and takes the certificate.
    ///
    /// # Errors
    /// Whatever stands in the way.
    pub async fn carry_out(&self) -> Result<Delivered, OrderFailed> {
        let whole = async {
            let mut order = self.new_order().await?;
            self.meet_challenges(&mut order).await?;
            self.wait_until_ready(&mut order).await?;
            self.take(&mut order).await
        };
        tokio::time::timeout_at(clock::deadline(WHOLE), whole).await.unwrap_or(Err(OrderFailed::Slow))
    }

    async fn new_order(&self) -> Result<Order, OrderFailed> {
        let identifiers = [Identifier::Dns(self.wanted.host.to_string())];
        let wish = || {
            let new = NewOrder::new(&identifiers);
            self.profile.map_or(NewOrder::new(&identifiers), |profile| new.profile(profile))
        };
        if let Some(replaced) = &self.replaces {
            let outcome = despite_bad_nonces!(self.account.new_order(&wish().replaces(replaced.clone())).await);
            match outcome {
                Ok(order) => return Ok(order),
                // Without it the authority knows less, and its limits are narrower: no reason to go without a certificate.
                Err(error) => {
                    tracing::info!(wanted = %self.wanted, %error, "ordered without naming the certificate before")
                }
            }
        }
        despite_bad_nonces!(self.account.new_order(&wish()).await).map_err(|error| self.failed(error))
    }

    /// Answers the challenge of our choice for each authorization that is not granted already.
    async fn meet_challenges(&self, order: &mut Order) -> Result<(), OrderFailed> {
        self.know_authorizations(order).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.failed(error))?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                other => return Err(OrderFailed::Refused(format!("the authorization is {other:?}"))),
            }
            let kind = match self.challenge {
                ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
                ChallengeKind::Http01 => ChallengeType::Http01,
            };
            let mut challenge = authorization.challenge(kind).ok_or(OrderFailed::NoChallenge)?;
            let key_authorization = challenge.key_authorization();
            self.answers.publish(&challenge.token, key_authorization.as_str()).await?;
            despite_bad_nonces!(challenge.set_ready().await).map_err(|error| self.challenge_failed(error))?;
        }
        Ok(())
    }

    /// Reads all authorizations; what was read is not asked for again.
    async fn know_authorizations(&self, order: &mut Order) -> Result<(), OrderFailed> {
        let known = despite_bad_nonces!({
            let mut authorizations = order.authorizations();
            loop {
                match authorizations.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Err(error),
                    None => break Ok(()),
                }
            }
        });
        known.map_err(|error| self.failed(error))
    }

    async fn wait_until_ready(&self, order: &mut Order) -> Result<(), OrderFailed> {
        let mut pause = LOOKS.0;
        loop {
            let status = order.state().status;
            match status {
                OrderStatus::Ready | OrderStatus::Valid | OrderStatus::Processing => return Ok(()),
                OrderStatus::Invalid => return Err(self.why_invalid(order).await),
                OrderStatus::Pending => {}
            }
            self.rest(&mut pause).await;
            despite_bad_nonces!(order.refresh().await).map_err(|error| self.failed(error))?;
        }
    }

    /// What the authority found in place of our answer.
    async fn why_invalid(&self, order: &mut Order) -> OrderFailed {
        let mut what = order.state().error.as_ref().map(told);
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if despite_bad_nonces!(authorization.refresh().await).is_err() {
                continue;
            }
            what = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref()).map(told).or(what);
        }
        let what = what.unwrap_or_else(|| "it does not say why".to_owned());
        OrderFailed::Challenge { kind: self.challenge, what }
    }

    /// Sends the key's request, and waits for the chain.
    async fn take(&self, order: &mut Order) -> Result<Delivered, OrderFailed> {
        let wanted = self.wanted.clone();
        let made = tokio::task::spawn_blocking(move || request(&wanted)).await;
        let (request, key) = made.map_err(|error| OrderFailed::Unusable(error.to_string()))??;
        if order.state().status == OrderStatus::Ready {
            despite_bad_nonces!(order.finalize_csr(&request).await).map_err(|error| self.failed(error))?;
        }
        let mut pause = LOOKS.0;
        while matches!(order.state().status, OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Pending) {
            self.rest(&mut pause).await;
            despite_bad_nonces!(order.refresh().await).map_err(|error| self.failed(error))?;
        }
        let chain = despite_bad_nonces!(order.certificate().await).map_err(|error| self.failed(error))?;
        let chain = chain.ok_or(OrderFailed::Slow)?;
        let issued = Issued::read(self.wanted, &chain, &key)?;
        Ok(Delivered { chain, key, issued })
    }

    /// Waits for the next look: as long as the authority asks for, or a little longer each time.
    async fn rest(&self, pause: &mut Duration) {
        let asked = self.directory.retry_after().unwrap_or_default().min(LOOKS.1);
        tokio::time::sleep(asked.max(*pause)).await;
        *pause = pause.mul_f32(1.5).min(LOOKS.1);
    }

    fn failed(&self, error: Error) -> OrderFailed {
        OrderFailed::of(error, self.directory.retry_after())
    }

    fn challenge_failed(&self, error: Error) -> OrderFailed {
        match self.failed(error) {
            OrderFailed::Refused(what) => OrderFailed::Challenge { kind: self.challenge, what },
            other => other,
        }
    }
}

/// A fresh key in PEM, and the request for its certificate in DER. Blocks: RSA takes its time.
fn request(wanted: &WantedCertificate) -> Result<(Vec<u8>, Secret), OrderFailed> {
    let unmade = |error: rcgen::Error| OrderFailed::Unusable(format!("our request could not be made: {error}"));
    let key = key(wanted.key_type)?;
    let mut params = CertificateParams::new(vec![wanted.host.to_string()]).map_err(unmade)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(unmade)?;
    let pem = zeroize::Zeroizing::new(key.serialize_pem());
    Ok((request.der().to_vec(), Secret::generated(pem.as_str())))
}

fn key(key_type: KeyType) -> Result<KeyPair, OrderFailed> {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    let unmade = || OrderFailed::Unusable("no key could be made".to_owned());
    match key_type {
        KeyType::EcdsaP256 => KeyPair::generate().map_err(|_| unmade()),
        KeyType::Rsa2048 => {
            let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).map_err(|_| unmade())?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| unmade())?;
            let der = PrivatePkcs8KeyDer::from(der.as_ref());
            KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).map_err(|_| unmade())
        }
    }
}
