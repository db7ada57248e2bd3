//! The TLS handshake: as every visitor makes it, or with a certificate on either side, by the host that is asked for.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::tls::server::handshake_with_callback;
use pingora::protocols::tls::{TlsRef, TlsStream};
use pingora::{Error, ErrorType, Result};
use rustls::server::Acceptor as HelloReader;
use tokio::io::AsyncReadExt as _;

use super::certificates::{CertificateUnusable, Certificates, server_config};
use super::client_certificates::{ClientCertificates, OfConnection};
use super::patience::PatientStream;
use super::settings::{CertificateHosts, TlsSettings};
use crate::acme::ACME_TLS;
use crate::client_certificate::ClientCertificate;

/// The most of a client's first message, in bytes. Post-quantum key shares make some of two kilobytes.
const LONGEST_HELLO: usize = 64 * 1024;

/// Speaks TLS with whoever connects.
pub struct TlsDoor {
    plain: Acceptor,
    demanding: Option<Demanding>,
}

/// For hosts that demand a certificate of their visitors.
struct Demanding {
    hosts: Arc<CertificateHosts>,
    acceptor: Acceptor,
    certificates: Arc<ClientCertificates>,
}

/// Reads the certificate that a visitor brought, once for each connection: the requests on it find it in the connection's digest.
struct Asks;

#[async_trait]
impl TlsAccept for Asks {
    async fn handshake_complete_callback(&self, tls: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        let brought = tls.peer_certificate_der().map(ClientCertificate::read);
        Some(Arc::new(OfConnection::Asked(brought.map(Arc::new))))
    }
}

/// Leaves a note for requests that do not belong on such a connection.
struct AsksNot(Arc<CertificateHosts>);

#[async_trait]
impl TlsAccept for AsksNot {
    async fn handshake_complete_callback(&self, _: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::new(OfConnection::NotAsked(Arc::clone(&self.0))))
    }
}

/// What a client asks for, before anything is answered.
#[derive(Default)]
struct Hello {
    /// As they came; read again by the handshake.
    octets: Vec<u8>,
    host: Option<String>,
    /// Whether it is the challenge of an authority and nothing else.
    is_challenge: bool,
}

impl TlsDoor {
    /// What `settings` say, with `certificates`.
    ///
    /// # Errors
    /// When rustls refuses the settings, or a file of the visitors' authorities cannot be used.
    pub fn new(settings: &TlsSettings, certificates: &Arc<Certificates>) -> Result<Self, CertificateUnusable> {
        let plain = Acceptor::from_server_config(Arc::new(server_config(settings, certificates, None)?));
        let demanding = match &settings.client_certificates {
            Some(demanded) => {
                let judge = ClientCertificates::load(demanded)?;
                let config = server_config(settings, certificates, Some(Arc::clone(&judge)))?;
                let acceptor = Acceptor::from_server_config(Arc::new(config));
                Some(Demanding { hosts: Arc::new(demanded.hosts.clone()), acceptor, certificates: judge })
            }
            None => None,
        };
        Ok(Self { plain, demanding })
    }

    /// Who judges visitors' certificates, to be looked at again.
    pub fn client_certificates(&self) -> Option<Arc<ClientCertificates>> {
        self.demanding.as_ref().map(|demanding| Arc::clone(&demanding.certificates))
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When no connection comes about.
    pub async fn handshake(&self, mut connection: PatientStream) -> Result<TlsStream<PatientStream>> {
        let Some(demanding) = &self.demanding else { return self.plain.tls_handshake(connection).await };
        let hello = read_hello(&mut connection).await?;
        connection.rewind(&hello.octets);
        // An authority that checks whether the host is ours has no certificate of a visitor, and gets no request through.
        let demanded = !hello.is_challenge && demanding.hosts.asked_for(hello.host.as_deref());
        if demanded {
            return handshake_with_callback(&demanding.acceptor, connection, &Asks).await;
        }
        handshake_with_callback(&self.plain, connection, &AsksNot(Arc::clone(&demanding.hosts))).await
    }
}

impl std::fmt::Debug for TlsDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let demanded = self.demanding.as_ref().map(|demanding| &demanding.certificates);
        f.debug_struct("TlsDoor").field("client_certificates", &demanded).finish_non_exhaustive()
    }
}

/// Reads the client's first message. One that is no message at all is left to the handshake, which says so to the client.
async fn read_hello(connection: &mut PatientStream) -> Result<Hello> {
    let (mut reader, mut hello, mut chunk) = (HelloReader::default(), Hello::default(), [0; 4096]);
    loop {
        let read = connection.read(&mut chunk).await.map_err(|_| broken())?;
        let mut fresh = chunk.get(..read).unwrap_or_default();
        hello.octets.extend_from_slice(fresh);
        if fresh.is_empty() || hello.octets.len() > LONGEST_HELLO {
            return Err(broken());
        }
        while !fresh.is_empty() {
            if reader.read_tls(&mut fresh).is_err() {
                return Ok(hello);
            }
            match reader.accept() {
                Ok(Some(accepted)) => {
                    let client = accepted.client_hello();
                    hello.host = client.server_name().map(str::to_ascii_lowercase);
                    hello.is_challenge = client
                        .alpn()
                        .is_some_and(|mut offered| offered.next() == Some(ACME_TLS) && offered.next().is_none());
                    return Ok(hello);
                }
                Ok(None) => {}
                Err(_) => return Ok(hello),
            }
        }
    }
}

fn broken() -> Box<Error> {
    Error::new(ErrorType::TLSHandshakeFailure)
}
