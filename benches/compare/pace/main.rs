//! A client that sends at a fixed rate, and counts from the moment at which a request was due.
//!
//! A client that waits for an answer before it sends again measures a server that is slow by sending less
//! (coordinated omission). Here each request has its moment, whatever became of those before; when all connections are
//! busy, the wait for one counts. Connections are made, shaken hands on and used once before the first moment.
//!
//! `pace HOST:PORT PATH --connections N --rate R --seconds S [--tls CA.pem NAME] [--reconnect full|resumed | --http2]
//! [--header 'Name: value']... [--status 200,...] [--body OCTETS]` prints one JSON object: requests, how many of them began
//! with a resumed handshake, and p50_us, p99_us, p999_us. Any other answer ends it with an error. Rate 0 sends as fast as
//! answers come. With `--reconnect` each request has a connection of its own, with a full or a resumed TLS handshake; with
//! `--http2` (needs `--tls`, and a rate) requests share the connections, a stream each. With `--body` it posts so many octets.

#![allow(clippy::disallowed_methods, reason = "a client that measures reads the clock")]

mod http1;
mod http2;

use std::process::ExitCode;
use std::time::{Duration, Instant};

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What was asked for.
struct Plan {
    address: String,
    path: String,
    connections: usize,
    rate: u64,
    seconds: u64,
    /// A file with the authority's certificate, and the server's name.
    tls: Option<(String, String)>,
    reconnect: Option<Handshake>,
    http2: bool,
    headers: Vec<(String, String)>,
    statuses: Vec<u16>,
    body: usize,
}

#[derive(PartialEq)]
enum Handshake {
    Full,
    Resumed,
}

/// What came of it: the time of each request in microseconds.
#[derive(Default)]
struct Outcome {
    taken: Vec<u64>,
    resumed: u64,
}

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
    let mut plan = Plan {
        address: next()?,
        path: next()?,
        connections: 32,
        rate: 1_000,
        seconds: 5,
        tls: None,
        reconnect: None,
        http2: false,
        headers: vec![],
        statuses: vec![200],
        body: 0,
    };
    while let Ok(option) = next() {
        match option.as_str() {
            "--connections" => plan.connections = next()?.parse()?,
            "--rate" => plan.rate = next()?.parse()?,
            "--seconds" => plan.seconds = next()?.parse()?,
            "--header" => {
                let header = next()?;
                let (name, value) = header.split_once(": ").ok_or("a header is `Name: value`")?;
                plan.headers.push((name.to_owned(), value.to_owned()));
            }
            "--reconnect" => {
                plan.reconnect = Some(match next()?.as_str() {
                    "full" => Handshake::Full,
                    "resumed" => Handshake::Resumed,
                    other => return Err(format!("a handshake is full or resumed, not {other}").into()),
                });
            }
            "--http2" => plan.http2 = true,
            "--tls" => plan.tls = Some((next()?, next()?)),
            "--status" => plan.statuses = next()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--body" => plan.body = next()?.parse()?,
            other => return Err(format!("{other} is not known").into()),
        }
    }
    Ok(plan)
}

fn run(plan: &Plan) -> Result<(), Failed> {
    // Sleeps end 50 microseconds late by default, which would be a part of every latency.
    std::fs::write("/proc/self/timerslack_ns", "1")?;
    let Outcome { mut taken, resumed } = if plan.http2 { http2::run(plan)? } else { http1::run(plan)? };
    taken.sort_unstable();
    let at = |per_mille: usize| {
        let rank = taken.len().saturating_mul(per_mille).div_ceil(1_000).saturating_sub(1);
        taken.get(rank).copied().unwrap_or_default()
    };
    let told = serde_json::json!({
        "requests": taken.len(), "resumed": resumed, "p50_us": at(500), "p99_us": at(990), "p999_us": at(999),
    });
    println!("{told}");
    Ok(())
}

/// The moment at which a request is due.
fn due(begin: Instant, number: u64, rate: u64) -> Instant {
    begin + Duration::from_secs_f64(number as f64 / rate as f64)
}

fn wait_until(moment: Instant) {
    if let Some(wait) = moment.checked_duration_since(Instant::now()) {
        std::thread::sleep(wait);
    }
}
