//! What sessions cost by their number: to look up, to keep, to open the store with, to sweep. Used by `make bench-scale`.
//!
//! `bench_sessions STORE NUMBER KEY CACHE` fills the store up to that number, opens it anew with so many cache entries as a
//! gateway would, and prints one JSON object. Times are medians of single look-ups, in nanoseconds or microseconds.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use vestibule::clock::{Clock, Stopwatch};
use vestibule::ids::SessionId;
use vestibule::portal::HostName;
use vestibule::random::Random;
use vestibule::secret::Secret;
use vestibule::session::settings::{SessionSettings, StoreSettings};
use vestibule::session::{Lookup, Sessions};
use vestibule::sign_in::{SignOutHint, VerifiedIdentity};

type Failed = Box<dyn std::error::Error>;

/// Sessions that are opened at the same time, so that the store's group commit has something to group.
const AT_ONCE: u64 = 1_000;
/// Sessions whose ids are kept, to be looked up.
const LOOKED_UP: usize = 10_000;
const LIFE: Duration = Duration::from_secs(24 * 3600);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [store, number, key, cache] => measure(store.into(), number, key, cache).await,
        _ => Err("bench_sessions STORE NUMBER KEY CACHE".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_sessions: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(path: PathBuf, number: &str, key: &str, cache: &str) -> Result<(), Failed> {
    let (number, cache) = (number.parse::<u64>()?, cache.parse::<u64>()?);
    let clock = Clock::manual(Clock::System.now());
    let settings = |cache_entries| SessionSettings {
        idle_timeout: LIFE,
        absolute_timeout: LIFE,
        cache_entries,
        store: StoreSettings::Embedded { path: path.clone() },
        keys: vec![Secret::generated(key)],
    };
    let portal = HostName::parse("localhost")?;

    let watch = Stopwatch::start();
    let filling = Sessions::start(&settings(1), clock.clone(), Random::default())?;
    let ids = fill(&filling, number, &portal).await?;
    filling.close().await?;
    drop(filling);
    let fill_seconds = watch.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&path)?.len();

    let before = resident_kib()?;
    let watch = Stopwatch::start();
    let sessions = Sessions::start(&settings(cache), clock.clone(), Random::default())?;
    let open_ms = watch.elapsed().as_secs_f64() * 1e3;
    let now = clock.now();
    // Not in the cache: the store is read.
    let mut misses = Vec::with_capacity(ids.len());
    for id in &ids {
        let watch = Stopwatch::start();
        let found = sessions.find(id, &portal, now).await?;
        misses.push(watch.elapsed().as_nanos());
        found.ok_or("a session that was opened is not found")?;
    }
    // In the cache: as on every request.
    let cached: Vec<&SessionId> = ids.iter().rev().take(usize::try_from(cache.min(10_000))?).collect();
    let mut hits = Vec::with_capacity(cached.len());
    for id in &cached {
        let watch = Stopwatch::start();
        let found = sessions.cached(id, &portal, now);
        hits.push(watch.elapsed().as_nanos());
        if !matches!(found, Lookup::Found(_)) {
            return Err("a session that was looked up just now is not cached".into());
        }
    }
    let memory = resident_kib()?.saturating_sub(before);
    let watch = Stopwatch::start();
    sessions.sweep(clock.now()).await?;
    let idle_sweep_ms = watch.elapsed().as_secs_f64() * 1e3;
    clock.advance(LIFE.saturating_add(Duration::from_secs(3600)));
    let watch = Stopwatch::start();
    let swept = sessions.sweep(clock.now()).await?;
    let sweep_ms = watch.elapsed().as_secs_f64() * 1e3;
    sessions.close().await?;
    let told = json!({
        "sessions": number, "cache": cache, "fill_seconds": fill_seconds, "bytes_per_session": bytes / number.max(1),
        "open_ms": open_ms, "miss_us": median(&mut misses) as f64 / 1e3, "hit_ns": median(&mut hits),
        "memory_mib": memory / 1024, "idle_sweep_ms": idle_sweep_ms, "sweep_ms": sweep_ms, "swept": swept,
    });
    println!("{told}");
    Ok(())
}

fn median(times: &mut [u128]) -> u128 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Opens sessions of so many people. Gives the ids of some, spread over all.
async fn fill(sessions: &Sessions, wanted: u64, portal: &HostName) -> Result<Vec<SessionId>, Failed> {
    let (mut ids, mut opened) = (Vec::new(), 0_u64);
    let every = (wanted / u64::try_from(LOOKED_UP)?).max(1);
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
                ids.push(id);
            }
        }
        opened = opened.saturating_add(batch);
    }
    Ok(ids)
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
