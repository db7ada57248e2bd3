//! What operators do to customers, whichever process does it: the command by itself while no gateway runs, or the running
//! gateway on the command's behalf, over the admin listener.
//!
//! Trusts a call over the admin listener only when it proves that its sender has the configured keys.

mod import;
mod keys;
mod reload;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::import::{
    ImportResult, ImportRow, Imported, InvalidRow, LARGEST, read as read_rows, write as write_rows,
};
pub use self::keys::OperatorKeys;
pub use self::reload::{InForceNow, RELOAD, RefusedFor, Reloaded, RunningGateway};
pub use self::upgrade::{ProcessNow, UPGRADE, Upgraded};
use crate::clock::{Clock, deadline};
use crate::customer::{ClaimFailed, Customer, Directory, DirectoryFailed, PasswordClaims, Standing, SyncOutcome};
use crate::email::EmailAddress;
use crate::policy::{Admission, Circumstances};
use crate::portal::HostName;
use crate::sign_in::VerifiedIdentity;

/// The most time that one person may take.
const PER_PERSON: Duration = Duration::from_secs(60);

/// The customers of one portal, and who may be one.
#[derive(Clone, Debug)]
pub struct PortalCustomers {
    /// The portal.
    pub portal: HostName,
    /// Its customers.
    pub directory: Arc<Directory>,
    /// Who may be one.
    pub admission: Admission,
    /// Where customers' passwords are kept, where any are.
    pub claims: Option<Arc<dyn PasswordClaims>>,
}

/// What operators can do.
#[derive(Clone, Debug)]
pub struct Operator {
    portals: Arc<Vec<PortalCustomers>>,
    clock: Clock,
}

/// Something that an operator wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Hold everybody who is known against the settings.
    Sync {
        /// Tell what would change, and call nobody.
        dry_run: bool,
    },
    /// Set the accounts of an address free.
    Release(EmailAddress),
    /// Keep passwords of customers, which come along as rows.
    Import {
        /// Of which portal; `None` where there is only one that keeps passwords.
        portal: Option<HostName>,
        /// Keep only what a login proves.
        prove: bool,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// For each portal, what changes for whom.
    Synced(Vec<SyncOutcome>),
    /// How many accounts were set free.
    Released(usize),
    /// For each row, what became of it.
    Imported(Vec<Imported>),
    /// Why nothing was done.
    Failed(String),
}

impl Operator {
    /// Over the customers of these portals.
    pub fn new(portals: Vec<PortalCustomers>, clock: Clock) -> Self {
        Self { portals: Arc::new(portals), clock }
    }

    /// Carries an order out. `rows` are those of an import.
    pub async fn carry_out(&self, order: &Order, rows: &[ImportRow]) -> Report {
        let outcome = match order {
            Order::Sync { dry_run } => self.sync(*dry_run).await.map(Report::Synced),
            Order::Release(email) => self.release(email).await.map(Report::Released),
            Order::Import { portal, prove } => return self.import(portal.as_ref(), *prove, rows).await,
        };
        outcome.unwrap_or_else(|failed| Report::Failed(failed.to_string()))
    }

    async fn sync(&self, dry_run: bool) -> Result<Vec<SyncOutcome>, DirectoryFailed> {
        let mut outcomes = Vec::new();
        for PortalCustomers { directory, admission, .. } in self.portals.iter() {
            // Nobody comes from anywhere now: where that matters, a refusal says nothing of the person.
            let circumstances = Circumstances { client: None, certificate: None, now: self.clock.now() };
            let standing = |who: &VerifiedIdentity| match admission.admit(who, &circumstances) {
                Ok(()) => Standing::Admitted,
                Err(reason) if admission.has_ended(reason) => Standing::Ended,
                Err(_) => Standing::Untold,
            };
            outcomes.push(directory.sync(&standing, dry_run, PER_PERSON).await?);
        }
        Ok(outcomes)
    }

    async fn import(&self, portal: Option<&HostName>, prove: bool, rows: &[ImportRow]) -> Report {
        let keeps = |one: &&PortalCustomers| one.claims.is_some() && portal.is_none_or(|portal| one.portal == *portal);
        let mut portals = self.portals.iter().filter(keeps);
        let (found, more) = (portals.next(), portals.next());
        let Some((of_portal, claims)) = found.and_then(|one| Some((one, one.claims.as_ref()?))) else {
            return Report::Failed("no such portal keeps passwords (customer_session: cloud_password)".to_owned());
        };
        if more.is_some() {
            return Report::Failed("several portals keep passwords: say which by --portal".to_owned());
        }
        let mut imported = Vec::with_capacity(rows.len());
        for row in rows {
            let outcome = self.import_row(of_portal, &**claims, prove, row).await;
            let result = outcome.unwrap_or_else(|failed| ImportResult::Failed(failed.to_string()));
            tracing::info!(portal = %of_portal.portal, email = %row.email, ?result, "an operator's import of a password");
            imported.push(Imported { email: row.email.to_string(), result });
        }
        Report::Imported(imported)
    }

    async fn import_row(
        &self,
        portal: &PortalCustomers,
        claims: &dyn PasswordClaims,
        prove: bool,
        row: &ImportRow,
    ) -> Result<ImportResult, ClaimFailed> {
        let until = deadline(PER_PERSON);
        let found: Option<Customer> = portal.directory.known(&row.email, until).await?;
        let Some(customer) = found else { return Ok(ImportResult::Unknown) };
        Ok(match &row.password {
            None if claims.forget(&customer, until).await? => ImportResult::Forgotten,
            None => ImportResult::NothingKept,
            Some(password) if prove => {
                claims.prove_and_end(&customer, password, self.clock.now(), until).await?;
                ImportResult::Proven
            }
            Some(password) => {
                claims.keep(&customer, password, until).await?;
                ImportResult::Kept
            }
        })
    }

    /// Portals of one site share its ledger: each account is found at the first of them.
    async fn release(&self, email: &EmailAddress) -> Result<usize, DirectoryFailed> {
        let mut most = 0;
        for PortalCustomers { portal, directory, .. } in self.portals.iter() {
            let released = directory.release(email).await?;
            if released > 0 {
                tracing::warn!(%portal, %email, "an operator has set an account free for whoever proves its address next");
            }
            most = most.max(released);
        }
        Ok(most)
    }
}

impl Order {
    /// The target of a request over the admin listener.
    pub fn target(&self) -> String {
        match self {
            Self::Sync { dry_run } => format!("/customers/sync?dry_run={dry_run}"),
            Self::Release(email) => {
                let query =
                    url::form_urlencoded::Serializer::new(String::new()).append_pair("email", email.as_str()).finish();
                format!("/customers/release?{query}")
            }
            Self::Import { portal: None, prove } => format!("/customers/import?prove={prove}"),
            Self::Import { portal: Some(portal), prove } => format!("/customers/import?prove={prove}&portal={portal}"),
        }
    }

    /// Reads what [`Order::target`] wrote, and nothing else.
    pub fn read(target: &str) -> Option<Self> {
        let (path, query) = target.split_once('?')?;
        if path == "/customers/import" {
            return Self::read_import(query).filter(|order| order.target() == target);
        }
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let (key, value) = pairs.next().filter(|_| pairs.clone().next().is_none())?;
        match (path, &*key, &*value) {
            ("/customers/sync", "dry_run", "true") => Some(Self::Sync { dry_run: true }),
            ("/customers/sync", "dry_run", "false") => Some(Self::Sync { dry_run: false }),
            ("/customers/release", "email", email) => EmailAddress::parse(email).ok().map(Self::Release),
            _ => None,
        }
    }

    fn read_import(query: &str) -> Option<Self> {
        let (prove, portal) = match query.split_once("&portal=") {
            Some((prove, portal)) => (prove, Some(HostName::parse(portal).ok()?)),
            None => (query, None),
        };
        Some(Self::Import { portal, prove: prove == "prove=true" })
    }

    /// Whether rows come along with it.
    pub fn brings_rows(&self) -> bool {
        matches!(self, Self::Import { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_one_spelling() {
        let release = Order::Release(EmailAddress::parse("a+b@acme.com").unwrap());
        let portal = HostName::parse("support.acme.com").unwrap();
        let import = Order::Import { portal: Some(portal), prove: true };
        for order in [
            Order::Sync { dry_run: true },
            Order::Sync { dry_run: false },
            release,
            import,
            Order::Import { portal: None, prove: false },
        ] {
            assert_eq!(Order::read(&order.target()), Some(order));
        }
        for other in [
            "/customers/sync",
            "/customers/sync?",
            "/customers/sync?dry_run=maybe",
            "/customers/sync?dry_run=true&dry_run=false",
            "/customers/release?email=nobody",
            "/customers/delete?email=ana@acme.com",
            "/customers/import?prove=maybe",
            "/customers/import?prove=true&portal=a b",
            "/customers/import?portal=support.acme.com&prove=true",
        ] {
            assert_eq!(Order::read(other), None, "{other}");
        }
    }
}
