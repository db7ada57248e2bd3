//! The account at the authority: made once, kept in the session store, shared by all gateways.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use zeroize::Zeroizing;

use super::directory::Directory;
use super::order::despite_bad_nonces;
use super::problem::OrderFailed;
use super::records::{AccountRecord, Names};
use super::settings::AcmeSettings;
use crate::random::Random;
use crate::secret::Secret;
use crate::session::envelope::Envelope;
use crate::session::{Change, RecordError, Records, StoreError};

/// Where the account is found and kept.
pub(super) struct Accounts<'a> {
    pub settings: &'a AcmeSettings,
    pub names: &'a Names,
    pub records: &'a Records,
    pub random: &'a Random,
}

impl Accounts<'_> {
    /// The account that all gateways share; made, if there is none.
    ///
    /// # Errors
    /// When the authority makes none, or it cannot be kept.
    pub async fn get(&self, directory: &Directory) -> Result<Account, OrderFailed> {
        let seen = self.records.see::<AccountRecord>(&self.names.account()).await?;
        if let Some(record) = seen.record {
            let account = self.restore(&record, directory).await?;
            if record.contact != self.settings.contact || !seen.sealed_by_first {
                if record.contact != self.settings.contact {
                    let contact = self.contact();
                    despite_bad_nonces!(account.update_contacts(&contact).await)
                        .map_err(|error| failed(error, directory))?;
                    tracing::info!("the certificate authority knows the new contact");
                }
                let record = AccountRecord { contact: self.settings.contact.clone(), ..record };
                let kept = vec![Change::put(self.names.account(), &record)?];
                self.records.change_if(&[&seen.unchanged], kept).await?;
            }
            return Ok(account);
        }
        let (account, credentials) = self.make(directory).await?;
        let record = AccountRecord { credentials: self.seal(&credentials)?, contact: self.settings.contact.clone() };
        let kept = vec![Change::put(self.names.account(), &record)?];
        if self.records.change_if(&[&seen.unchanged], kept).await? {
            tracing::info!(account = account.id(), "an account was made at the certificate authority");
            return Ok(account);
        }
        // Another gateway has made one at the same time: that one counts. Nothing was ordered with ours.
        match self.records.load::<AccountRecord>(&self.names.account()).await? {
            Some(record) => self.restore(&record, directory).await,
            None => Err(OrderFailed::Store("the account was taken away at once".to_owned())),
        }
    }

    /// Has the first of the configured keys seal the account, so that the others can go.
    pub async fn reseal(&self) -> Result<(), RecordError> {
        let seen = self.records.see::<AccountRecord>(&self.names.account()).await?;
        if let Some(record) = seen.record.filter(|_| !seen.sealed_by_first) {
            let moved = vec![Change::put(self.names.account(), &record)?];
            self.records.change_if(&[&seen.unchanged], moved).await?;
            tracing::info!("the account at the certificate authority is sealed with the first key");
        }
        Ok(())
    }

    /// Forgets the account: the authority does not know it.
    pub async fn forget(&self) -> Result<(), OrderFailed> {
        Ok(self.records.change(vec![Change::remove(self.names.account())]).await?)
    }

    async fn restore(&self, record: &AccountRecord, directory: &Directory) -> Result<Account, OrderFailed> {
        let damaged = || OrderFailed::Store("the account in it cannot be read".to_owned());
        let text = record.credentials.open(&self.names.place_of_account()).ok_or_else(damaged)?;
        let credentials: AccountCredentials = serde_json::from_str(text.reveal()).map_err(|_| damaged())?;
        let builder = Account::builder_with_http(Box::new(directory.clone()));
        builder.from_credentials(credentials).await.map_err(|error| failed(error, directory))
    }

    async fn make(&self, directory: &Directory) -> Result<(Account, AccountCredentials), OrderFailed> {
        let contact = self.contact();
        // The configuration is refused unless it says that the terms are agreed to.
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = self.settings.external_account.as_ref().map(|external| {
            let key =
                Zeroizing::new(URL_SAFE_NO_PAD.decode(external.key.reveal().trim_end_matches('=')).unwrap_or_default());
            ExternalAccountKey::new(external.kid.clone(), &key)
        });
        let at = self.settings.directory.to_string();
        let builder = || Account::builder_with_http(Box::new(directory.clone()));
        despite_bad_nonces!(builder().create(&new, at.clone(), external.as_ref()).await)
            .map_err(|error| failed(error, directory))
    }

    fn contact(&self) -> Vec<&str> {
        self.settings.contact.iter().map(String::as_str).collect()
    }

    fn seal(&self, credentials: &AccountCredentials) -> Result<Envelope, OrderFailed> {
        let text =
            Zeroizing::new(serde_json::to_string(credentials).map_err(|error| OrderFailed::Store(error.to_string()))?);
        let sealed = Envelope::seal(&Secret::generated(text.as_str()), &self.names.place_of_account(), self.random);
        sealed.map_err(|error| OrderFailed::Store(StoreError::from(error).to_string()))
    }
}

/// What became of a call about the account. Who may not bind it is told "unauthorized" by some authorities.
fn failed(error: instant_acme::Error, directory: &Directory) -> OrderFailed {
    OrderFailed::of(error, directory.retry_after())
}
