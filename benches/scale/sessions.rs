//! What sessions cost by their number: to look up, to keep, to open the store with, to sweep. Used by `make bench-scale`.
//!
//! Each step is a process of its own, so that memory is that of the step, and the store is opened as after a start:
//!
//! - `bench_sessions fill STORE NUMBER KEY KEPT IDS` fills the store up to that number, writes the ids of so many, spread over
//!   all, to a file, and dies without closing the store.
//! - `bench_sessions open STORE KEY` opens the store, closes it in order, and tells its size.
//! - `bench_sessions measure STORE KEY CACHE IDS` opens the store with so many cache entries, as a gateway would, looks all those
//!   ids up, and sweeps.
//!
//! Each prints one JSON object. Times are medians of single look-ups, in nanoseconds or microseconds.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use mimalloc::MiMalloc;
use serde_json::{Value, json};
use vestibule::clock::{Clock, Stopwatch};
use vestibule::ids::SessionId;
use vestibule::portal::HostName;
use vestibule::random::Random;
use vestibule::secret::Secret;
use vestibule::session::settings::{SessionSettings, StoreSettings};
use vestibule::session::{Lookup, Sessions};
use vestibule::sign_in::{SignOutHint, VerifiedIdentity};

/// As in the gateway itself: it decides about memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

type Failed = Box<dyn std::error::Error>;

/// Sessions that are opened at the same time, so that the store's group commit has something to group.
const AT_ONCE: u64 = 1_000;
/// Look-ups that are timed, spread over all.
const TIMED: usize = 10_000;
const LIFE: Duration = Duration::from_secs(24 * 3600);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["fill", store, number, key, kept, ids] => fill(store, number, key, kept, ids).await,
        ["open", store, key] => open(store, key).await,
        ["measure", store, key, cache, ids] => measure(store, key, cache, ids).await,
        _ => Err("bench_sessions fill STORE NUMBER KEY KEPT IDS | open STORE KEY | measure STORE KEY CACHE IDS".into()),
    };
    match done {
        Ok(told) => {
            println!("{told}");
            // Nothing is dropped by this: a store that was not closed stays so, as after a crash.
            std::process::exit(0)
        }
        Err(error) => {
            eprintln!("bench_sessions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(store: &str, key: &str, cache_entries: u64, clock: &Clock) -> Result<Sessions, Failed> {
    let settings = SessionSettings {
        idle_timeout: LIFE,
        absolute_timeout: LIFE,
        cache_entries,
        store: StoreSettings::Embedded { path: store.into() },
        keys: vec![Secret::generated(key)],
    };
    Ok(Sessions::start(&settings, clock.clone(), Random::default())?)
}

fn portal() -> Result<HostName, Failed> {
    Ok(HostName::parse("localhost")?)
}

/// Opens sessions of so many people.
async fn fill(store: &str, number: &str, key: &str, kept: &str, ids: &str) -> Result<Value, Failed> {
    let (wanted, kept) = (number.parse::<u64>()?, kept.parse::<u64>()?);
    let (sessions, portal) = (start(store, key, 1, &Clock::System)?, portal()?);
    let mut ids = BufWriter::new(File::create(ids)?);
    let every = wanted.checked_div(kept).unwrap_or(wanted).max(1);
    let watch = Stopwatch::start();
    let mut opened = 0_u64;
    while opened < wanted {
        let batch = AT_ONCE.min(wanted.saturating_sub(opened));
        let mut tasks = tokio::task::JoinSet::new();
        for number in opened..opened.saturating_add(batch) {
            let (sessions, portal, identity) = (sessions.clone(), portal.clone(), identity(number)?);
            tasks.spawn(async move {
                let token = SignOutHint::IdToken(Secret::generated("x".repeat(900))); // as long as an ID token usually is
                let opened = sessions.open(identity, Some(token), portal, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
                opened.map(|(id, _)| (number, id))
            });
        }
        while let Some(done) = tasks.join_next().await {
            let (number, id) = done??;
            if number.is_multiple_of(every) {
                writeln!(ids, "{}", id.reveal())?;
            }
        }
        opened = opened.saturating_add(batch);
    }
    let fill_seconds = watch.elapsed().as_secs_f64();
    ids.flush()?;
    // The store closes itself when nobody has it any more: this process is to die with it open.
    std::mem::forget(sessions);
    Ok(json!({ "fill_seconds": fill_seconds }))
}

/// Opens the store as it was left, and closes it in order.
async fn open(store: &str, key: &str) -> Result<Value, Failed> {
    let watch = Stopwatch::start();
    let sessions = start(store, key, 1, &Clock::System)?;
    let open_ms = watch.elapsed().as_secs_f64() * 1e3;
    let number = sessions.count().await?.max(1);
    let watch = Stopwatch::start();
    sessions.close().await?;
    let close_ms = watch.elapsed().as_secs_f64() * 1e3;
    let file = std::fs::metadata(store)?;
    Ok(json!({
        "open_ms": open_ms, "close_ms": close_ms,
        // What is on the disk, and how long the file says it is: there are holes in it.
        "disk_per_session": file.blocks().saturating_mul(512) / number, "length_per_session": file.len() / number,
    }))
}

async fn measure(store: &str, key: &str, cache: &str, ids: &str) -> Result<Value, Failed> {
    let cache = cache.parse::<u64>()?;
    let (clock, portal, ids) = (Clock::manual(Clock::System.now()), portal()?, Path::new(ids));
    let kept = read(ids)?.count();
    let step = (kept / TIMED).max(1);
    let watch = Stopwatch::start();
    let sessions = start(store, key, cache, &clock)?;
    let open_ms = watch.elapsed().as_secs_f64() * 1e3;
    let (number, now) = (sessions.count().await?, clock.now());
    // Not in the cache: the store is read.
    let mut misses = Vec::with_capacity(kept.div_ceil(step));
    for (place, id) in read(ids)?.enumerate() {
        let id = id?;
        let watch = Stopwatch::start();
        let found = sessions.find(&id, &portal, now).await?;
        if place.is_multiple_of(step) {
            misses.push(watch.elapsed().as_nanos());
        }
        found.ok_or("a session that was opened is not found")?;
    }
    // In the cache: as on every request.
    let (mut hits, mut cached) = (Vec::with_capacity(kept.div_ceil(step)), 0_u64);
    for (place, id) in read(ids)?.enumerate() {
        let id = id?;
        let watch = Stopwatch::start();
        let found = sessions.cached(&id, &portal, now);
        if place.is_multiple_of(step) {
            hits.push(watch.elapsed().as_nanos());
        }
        cached = cached.saturating_add(u64::from(matches!(found, Lookup::Found(_))));
    }
    let memory = resident_kib()?;
    let watch = Stopwatch::start();
    sessions.sweep(clock.now()).await?;
    let idle_sweep_ms = watch.elapsed().as_secs_f64() * 1e3;
    clock.advance(LIFE.saturating_add(Duration::from_secs(3600)));
    let watch = Stopwatch::start();
    let swept = sessions.sweep(clock.now()).await?;
    let sweep_ms = watch.elapsed().as_secs_f64() * 1e3;
    sessions.close().await?;
    Ok(json!({
        "sessions": number, "cache": cache, "cached": cached, "open_ms": open_ms,
        "miss_us": median(&mut misses) as f64 / 1e3, "hit_ns": median(&mut hits), "memory_mib": memory / 1024,
        "idle_sweep_ms": idle_sweep_ms, "sweep_ms": sweep_ms, "swept": swept,
    }))
}

/// The ids in a file, one after the other: all of them would count as memory.
fn read(ids: &Path) -> Result<impl Iterator<Item = Result<SessionId, Failed>>, Failed> {
    let lines = BufReader::new(File::open(ids)?).lines();
    Ok(lines.map(|line| SessionId::parse(&line?).ok_or_else(|| "a line is no session id".into())))
}

fn median(times: &mut [u128]) -> u128 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn identity(number: u64) -> Result<VerifiedIdentity, serde_json::Error> {
    serde_json::from_value(json!({
        "provider": "acme",
        "issuer": "https://idp.example",
        "subject": format!("subject-{number}"),
        "email": format!("person-{number}@acme.example"),
        "email_verified": true,
        "display_name": format!("Person {number}"),
        "groups": ["customers", "vip"],
        "authenticated_at": Clock::System.now(),
        "acr": null,
        "provider_session": format!("sid-{number}"),
        "not_after": null,
    }))
}

fn resident_kib() -> Result<u64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
