//! The yardstick: Pingora with nothing but `upstream_peer`, at the same version and build profile as Vestibule.
//!
//! `bare_pingora UPSTREAM PLAIN TLS CERTIFICATE KEY` serves HTTP/1.1 at PLAIN (`ADDRESS:PORT`), and by TLS HTTP/2 too, at
//! TLS, by one worker thread, as the benchmark gives every subject.

use std::process::ExitCode;

use async_trait::async_trait;
use pingora::Result;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

struct Bare {
    upstream: String,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _http: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream.as_str(), false, String::new())))
    }
}

/// Serves until it is ended.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [upstream, plain, tls, certificate, key] = arguments.as_slice() else {
        eprintln!("bare_pingora UPSTREAM PLAIN TLS CERTIFICATE KEY");
        return ExitCode::FAILURE;
    };
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 512, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare { upstream: upstream.clone() });
    service.add_tcp(plain);
    match TlsSettings::intermediate(certificate, key) {
        Ok(mut settings) => {
            settings.enable_h2();
            service.add_tls_with_settings(tls, None, settings);
        }
        Err(error) => {
            eprintln!("bare_pingora: {error}");
            return ExitCode::FAILURE;
        }
    }
    server.add_service(service);
    server.run_forever();
}
