//! The Cloud look-alike on sockets of its own: the site, and the host beside it, as the demo and the tests use them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;

use super::jsm_cloud::{AccountType, JsmCloud};
use super::recorder::Recorder;
use super::server::Server;
use crate::clock::Clock;
use crate::random::{NoRandomness, Random};

/// The organization of the demo whose requests its members see.
pub const ORGANIZATION: &str = "Acme";
/// A customer of the demo who raised a request before anybody else came.
pub const COLLEAGUE: &str = "cora@acme.example";
/// Somebody of the demo who has an Atlassian account, and is therefore no portal-only customer.
pub const ATLASSIAN_USER: &str = "mia@acme.example";

/// A running look-alike. Dropping it closes its connections at once.
#[derive(Debug)]
pub struct CloudSite {
    /// The site.
    pub jsm: JsmCloud,
    servers: [Server; 2],
}

/// The look-alike could not be started.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum NoCloudSite {
    #[error("the look-alike of JSM Cloud cannot listen: {0}")]
    Listen(#[from] io::Error),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl CloudSite {
    /// Starts a fresh site and the host beside it on free ports of 127.0.0.1, and tells the site where both are.
    ///
    /// # Errors
    /// When a port cannot be listened at.
    pub async fn start(
        tls: Option<Arc<ServerConfig>>,
        recorder: Option<Recorder>,
        clock: Clock,
        random: Random,
    ) -> Result<Self, NoCloudSite> {
        let jsm = JsmCloud::new(clock, random)?;
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let site = Server::start(jsm.router(), bind, tls.clone(), recorder).await?;
        let beside = Server::start(jsm.beside_router(), bind, tls, None).await?;
        jsm.set_base_url(&format!("{scheme}://{}", site.addr()));
        jsm.set_atlassian_url(&format!("{scheme}://{}", beside.addr()));
        Ok(Self { jsm, servers: [site, beside] })
    }

    /// Adds what the demo shows: an organization with a request of somebody else in it, and somebody of the other kind of
    /// account.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn furnish(&self) -> Result<(), NoRandomness> {
        self.jsm.add_account(AccountType::Atlassian, ATLASSIAN_USER, "Mia Moreau")?;
        let cora = self.jsm.add_account(AccountType::Customer, COLLEAGUE, "Cora Cole")?;
        self.jsm.add_organization(ORGANIZATION, "1", &[&cora]);
        self.jsm.add_request(COLLEAGUE, "1", "11", "The invoice shows the old address");
        Ok(())
    }

    /// Lets exchanges under way finish, then stops.
    pub async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
    }
}
