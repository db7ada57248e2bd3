//! HTTP/1.1: a thread for each connection; who is free takes the next request.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::{Failed, Handshake, Outcome, Plan, due, wait_until};

/// Where to connect, and what to send there.
struct Target<'a> {
    plan: &'a Plan,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    request: Vec<u8>,
}

trait Connection: Read + Write + Send {
    /// Says farewell, as browsers do: else the other side sees an end that it did not expect.
    fn close(&mut self) {}
}

impl Connection for TcpStream {}

impl Connection for StreamOwned<ClientConnection, TcpStream> {
    fn close(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush(); // the other side may have gone first
    }
}

struct Open {
    stream: BufReader<Box<dyn Connection>>,
    resumed: bool,
}

pub fn run(plan: &Plan) -> Result<Outcome, Failed> {
    // Each connection has tickets of its own to resume by: of those that several share, some are gone when one is wanted.
    let target = |_| -> Result<Target<'_>, Failed> { Ok(Target { plan, tls: tls(plan)?, request: request(plan) }) };
    let targets = (0..plan.connections).map(target).collect::<Result<Vec<_>, _>>()?;
    let (ticket, total) = (AtomicU64::new(0), plan.rate.saturating_mul(plan.seconds));
    let (all_ready, begun) = (Barrier::new(plan.connections), OnceLock::new());
    let serve = |target: &Target<'_>| -> Result<Outcome, Failed> {
        let ready = target.ready();
        all_ready.wait();
        let begin = *begun.get_or_init(|| Instant::now() + Duration::from_millis(10));
        let end = begin + Duration::from_secs(plan.seconds);
        let (mut kept, mut outcome) = (target.keep(ready?), Outcome::default());
        loop {
            let number = ticket.fetch_add(1, Ordering::Relaxed);
            let over = if plan.rate == 0 { Instant::now() >= end } else { number >= total };
            if over {
                if let Some(open) = kept {
                    open.close();
                }
                return Ok(outcome);
            }
            let due = if plan.rate == 0 { Instant::now().max(begin) } else { due(begin, number, plan.rate) };
            wait_until(due);
            let mut open = match kept.take() {
                Some(open) => open,
                None => target.connect()?,
            };
            outcome.resumed = outcome.resumed.saturating_add(u64::from(open.resumed));
            exchange(&mut open.stream, &target.request, &plan.statuses)?;
            outcome.taken.push(u64::try_from(due.elapsed().as_micros())?);
            kept = target.keep(open);
        }
    };
    let mut all = Outcome::default();
    std::thread::scope(|scope| -> Result<(), Failed> {
        let threads: Vec<_> = targets.iter().map(|target| scope.spawn(|| serve(target))).collect();
        for thread in threads {
            let part = thread.join().map_err(|_| "a thread ended badly")??;
            all.taken.extend(part.taken);
            all.resumed = all.resumed.saturating_add(part.resumed);
        }
        Ok(())
    })?;
    Ok(all)
}

fn tls(plan: &Plan) -> Result<Option<(Arc<ClientConfig>, ServerName<'static>)>, Failed> {
    let Some((ca, name)) = &plan.tls else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    if plan.reconnect != Some(Handshake::Resumed) {
        config.resumption = Resumption::disabled();
    }
    Ok(Some((Arc::new(config), ServerName::try_from(name.clone())?)))
}

fn request(plan: &Plan) -> Vec<u8> {
    let method = if plan.body == 0 { "GET" } else { "POST" };
    let mut head = format!("{method} {} HTTP/1.1\r\n", plan.path);
    if !plan.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
        head.push_str("Accept: */*\r\n");
    }
    for (name, value) in &plan.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if plan.body > 0 {
        head.push_str(&format!("Content-Type: application/octet-stream\r\nContent-Length: {}\r\n", plan.body));
    }
    head.push_str("\r\n");
    let mut request = head.into_bytes();
    request.resize(request.len().saturating_add(plan.body), b'x');
    request
}

impl Target<'_> {
    /// Connected, shaken hands on, and used once: by then the subject has its connection to the backend, too.
    fn ready(&self) -> Result<Open, Failed> {
        let mut open = self.connect()?;
        exchange(&mut open.stream, &self.request, &self.plan.statuses)?;
        Ok(open)
    }

    /// For the next request, unless each has a connection of its own.
    fn keep(&self, open: Open) -> Option<Open> {
        if self.plan.reconnect.is_none() {
            return Some(open);
        }
        open.close();
        None
    }

    fn connect(&self) -> Result<Open, Failed> {
        let mut socket = TcpStream::connect(&self.plan.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut resumed = false;
        let stream: Box<dyn Connection> = match &self.tls {
            None => Box::new(socket),
            Some((config, name)) => {
                let mut session = ClientConnection::new(Arc::clone(config), name.clone())?;
                while session.is_handshaking() {
                    session.complete_io(&mut socket)?;
                }
                resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
                Box::new(StreamOwned::new(session, socket))
            }
        };
        Ok(Open { stream: BufReader::with_capacity(64 * 1024, stream), resumed })
    }
}

impl Open {
    fn close(mut self) {
        self.stream.get_mut().close();
    }
}

/// Sends one request and reads its whole answer, which has to have one of the statuses, and a length or chunks.
fn exchange(connection: &mut BufReader<Box<dyn Connection>>, request: &[u8], statuses: &[u16]) -> Result<(), Failed> {
    connection.get_mut().write_all(request)?;
    connection.get_mut().flush()?;
    let (mut line, mut length, mut chunked, mut first) = (String::new(), None, false, true);
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err("closed without an answer".into());
        }
        let text = line.trim_end();
        if first {
            let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next()?.parse().ok());
            if !status.is_some_and(|status| statuses.contains(&status)) {
                return Err(format!("answered {text}").into());
            }
        }
        first = false;
        if text.is_empty() {
            break;
        }
        if let Some((name, value)) = text.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse::<u64>()?);
            }
            chunked |= name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked");
        }
    }
    match (length, chunked) {
        (Some(length), false) => skip(connection, length),
        (None, true) => loop {
            line.clear();
            connection.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim_end(), 16)?;
            skip(connection, size.saturating_add(2))?;
            if size == 0 {
                return Ok(());
            }
        },
        _ => Err("an answer without a length".into()),
    }
}

fn skip(connection: &mut impl Read, length: u64) -> Result<(), Failed> {
    let skipped = std::io::copy(&mut connection.take(length), &mut std::io::sink())?;
    if skipped == length { Ok(()) } else { Err("the answer was cut".into()) }
}
