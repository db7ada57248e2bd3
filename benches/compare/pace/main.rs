//! A client that sends at a fixed rate, and counts from the moment at which a request was due.
//!
//! A client that waits for an answer before it sends again measures a server that is slow by sending less
//! (coordinated omission). Here each request has its moment, whatever became of those before; when all connections are
//! busy, the wait for one counts.
//!
//! `pace HOST:PORT PATH --connections N --rate R --seconds S [--tls CA.pem NAME] [--reconnect full|resumed]
//! [--header 'Name: value']...` prints one JSON object: requests, errors, and p50_us, p99_us, p999_us. Rate 0 sends as fast as
//! answers come. With `--reconnect` each request has a connection of its own, with a full or a resumed TLS handshake.

#![allow(clippy::disallowed_methods, reason = "a client that measures reads the clock")]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type Failed = Box<dyn std::error::Error + Send + Sync>;

struct Plan {
    address: String,
    request: Vec<u8>,
    connections: u64,
    rate: u64,
    seconds: u64,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    reconnect: bool,
}

trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

fn main() -> ExitCode {
    match plan().and_then(|plan| run(&plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pace: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plan() -> Result<Plan, Failed> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("an argument is missing");
    let (address, path) = (next()?, next()?);
    let (mut connections, mut rate, mut seconds, mut tls, mut reconnect) = (32, 1_000, 5, None, None);
    let mut head = format!("GET {path} HTTP/1.1\r\nAccept: */*\r\n");
    while let Ok(option) = next() {
        match option.as_str() {
            "--connections" => connections = next()?.parse()?,
            "--rate" => rate = next()?.parse()?,
            "--seconds" => seconds = next()?.parse()?,
            "--header" => head.push_str(&format!("{}\r\n", next()?)),
            "--reconnect" => reconnect = Some(next()?),
            "--tls" => tls = Some((next()?, next()?)),
            other => return Err(format!("{other} is not known").into()),
        }
    }
    let resume = reconnect.as_deref() == Some("resumed");
    let with_name =
        |(ca, name): (String, String)| Ok::<_, Failed>((client_config(&ca, resume)?, ServerName::try_from(name)?));
    let tls = tls.map(with_name).transpose()?;
    let request = format!("{head}\r\n").into_bytes();
    Ok(Plan { address, request, connections, rate, seconds, tls, reconnect: reconnect.is_some() })
}

fn client_config(ca: &str, resume: bool) -> Result<Arc<ClientConfig>, Failed> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    if !resume {
        config.resumption = Resumption::disabled();
    }
    Ok(Arc::new(config))
}

fn run(plan: &Plan) -> Result<(), Failed> {
    let (ticket, total) = (AtomicU64::new(0), plan.rate.saturating_mul(plan.seconds));
    let begin = Instant::now() + Duration::from_millis(50);
    let end = begin + Duration::from_secs(plan.seconds);
    let serve = || -> Result<(Vec<u64>, u64), Failed> {
        let mut connection = connect(plan)?;
        let (mut taken, mut errors) = (Vec::new(), 0_u64);
        loop {
            let number = ticket.fetch_add(1, Ordering::Relaxed);
            let over = if plan.rate == 0 { Instant::now() >= end } else { number >= total };
            if over {
                return Ok((taken, errors));
            }
            let due = match plan.rate {
                0 => Instant::now(),
                rate => begin + Duration::from_secs_f64(number as f64 / rate as f64),
            };
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(wait);
            }
            if plan.reconnect {
                connection = connect(plan)?;
            }
            match exchange(&mut connection, &plan.request) {
                Ok(()) => taken.push(u64::try_from(due.elapsed().as_micros())?),
                Err(_) => {
                    errors = errors.saturating_add(1);
                    connection = connect(plan)?;
                }
            }
        }
    };
    let (mut all, mut errors) = (Vec::new(), 0_u64);
    std::thread::scope(|scope| -> Result<(), Failed> {
        let threads: Vec<_> = (0..plan.connections).map(|_| scope.spawn(serve)).collect();
        for thread in threads {
            let (taken, failed) = thread.join().map_err(|_| "a thread ended badly")??;
            all.extend(taken);
            errors = errors.saturating_add(failed);
        }
        Ok(())
    })?;
    all.sort_unstable();
    let at = |per_mille: usize| {
        let rank = all.len().saturating_mul(per_mille).div_ceil(1_000).saturating_sub(1);
        all.get(rank).copied().unwrap_or_default()
    };
    let told = serde_json::json!({
        "requests": all.len(), "errors": errors, "p50_us": at(500), "p99_us": at(990), "p999_us": at(999),
    });
    println!("{told}");
    Ok(())
}

fn connect(plan: &Plan) -> Result<BufReader<Box<dyn Connection>>, Failed> {
    let socket = TcpStream::connect(&plan.address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection: Box<dyn Connection> = match &plan.tls {
        None => Box::new(socket),
        Some((config, name)) => {
            Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(config), name.clone())?, socket))
        }
    };
    Ok(BufReader::with_capacity(64 * 1024, connection))
}

/// Sends one request and reads its whole answer, which has to be 200 with a length or in chunks.
fn exchange(connection: &mut BufReader<Box<dyn Connection>>, request: &[u8]) -> Result<(), Failed> {
    connection.get_mut().write_all(request)?;
    connection.get_mut().flush()?;
    let (mut line, mut length, mut chunked, mut first) = (String::new(), None, false, true);
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let text = line.trim_end();
        if first && !text.starts_with("HTTP/1.1 200") {
            return Err(text.to_owned().into());
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
