//! A thousand people who sign in for the first time in the same moment, at a site that lets only so many calls through.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::*;

const PEOPLE: usize = 1000;
const CONCURRENCY: usize = 6;

/// Every so many calls that are served, some are told to come back later.
const BURST: usize = 150;
/// So many.
const REFUSED: usize = 3;

#[derive(Debug, Default)]
struct Limiter {
    /// Calls of this round, refused ones among them.
    round: Mutex<usize>,
    now: AtomicUsize,
    most: AtomicUsize,
    refused: AtomicUsize,
    served: AtomicUsize,
}

async fn limit(State(limiter): State<Arc<Limiter>>, request: Request, next: Next) -> Response {
    let now = limiter.now.fetch_add(1, Ordering::SeqCst) + 1;
    limiter.most.fetch_max(now, Ordering::SeqCst);
    let passes = {
        let mut round = limiter.round.lock().unwrap();
        *round = if *round >= BURST + REFUSED { 1 } else { *round + 1 };
        *round <= BURST
    };
    let answer = if passes {
        limiter.served.fetch_add(1, Ordering::SeqCst);
        next.run(request).await
    } else {
        limiter.refused.fetch_add(1, Ordering::SeqCst);
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], "").into_response()
    };
    limiter.now.fetch_sub(1, Ordering::SeqCst);
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_first_sign_ins_at_once_are_served_or_told_to_come_back() {
    let limiter = Arc::<Limiter>::default();
    let layer = from_fn_with_state(Arc::clone(&limiter), limit);
    let stage = Stage::with(|router| router.layer(layer), sessions_in_memory(Clock::manual(NOW))).await;
    let directory = Arc::new(stage.directory_of("support.acme.com", stage.settings(), CONCURRENCY));
    let sign_in = |number: usize, patience: Duration| {
        let directory = Arc::clone(&directory);
        tokio::spawn(async move {
            let email = format!("person{number}@{}", if number.is_multiple_of(2) { "acme.com" } else { "globex.com" });
            let who = who("okta", &email, &email);
            directory.ensure(&who, deadline(patience)).await.map_err(|failed| (number, failed.reason()))
        })
    };
    // So little time that not all can be served.
    let mut again = Vec::new();
    for task in (0..PEOPLE).map(|number| sign_in(number, Duration::from_secs(10))).collect::<Vec<_>>() {
        if let Err((number, reason)) = task.await.unwrap() {
            assert!(
                matches!(reason, "rate_limited" | "upstream_timed_out" | "directory_crowded"),
                "an honest retry page: {reason}"
            );
            again.push(number);
        }
    }
    let first_round = PEOPLE - again.len();
    for task in again.into_iter().map(|number| sign_in(number, Duration::from_secs(300))).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    let (most, refused) = (limiter.most.load(Ordering::SeqCst), limiter.refused.load(Ordering::SeqCst));
    let served = limiter.served.load(Ordering::SeqCst);
    eprintln!("{first_round} at once, {served} calls served, {refused} refused by the limit, {most} at once at most");
    assert!(most <= CONCURRENCY, "{most}");
    assert!(refused > 0, "the limit was met");
    assert!(first_round > 0, "a crowd does not keep everybody from being served");
    for number in 0..PEOPLE {
        let (own, theirs) = if number.is_multiple_of(2) {
            ("acme.com", ["Acme", "Customers"])
        } else {
            ("globex.com", ["Customers", "Globex"])
        };
        let email = format!("person{number}@{own}");
        assert_eq!(stage.jsm.customers_created(&email), 1, "{email}");
        assert!(stage.jsm.is_member("10", &email));
        assert_eq!(stage.organizations(&email), theirs);
    }
    // Nothing is asked twice needlessly: three organizations were made by one call each, and each linked once.
    assert_eq!(stage.jsm.calls("POST", ORGANIZATION), 3);
    assert_eq!(stage.jsm.calls("POST", "/rest/servicedeskapi/servicedesk/{id}/organization"), 3);
    let people = u64::try_from(PEOPLE).unwrap();
    let broken_off = people - u64::try_from(first_round).unwrap();
    for (route, once) in [(CUSTOMER, people), (DESK, people), (MEMBERS, people * 2)] {
        let calls = stage.jsm.calls("POST", route);
        assert!((once..=once + broken_off).contains(&calls), "{route}: {calls}");
    }
}
