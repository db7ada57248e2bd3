//! The steps of an authenticated request, counted in instructions by `benches/hot_path/instructions.py`, which runs this under
//! callgrind: a count has no noise, so that a regression of one in a hundred shows on any machine.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a benchmark"
)]

#[path = "hot_path/steps.rs"]
mod steps;

use std::hint::black_box;

use steps::Steps;

/// How often each step is taken.
const TIMES: usize = 100;

fn main() {
    let steps = Steps::new(1_000);
    assert!(steps.all(), "the request is permitted");
    for _ in 0..TIMES {
        step_head(&steps);
        step_canonical_request(&steps);
        step_session(&steps);
        step_decision(&steps);
        step_hygiene(&steps);
        step_seal(&steps);
        step_unseal(&steps);
    }
}

#[inline(never)]
fn step_head(steps: &Steps) {
    steps.head();
}

#[inline(never)]
fn step_canonical_request(steps: &Steps) {
    black_box(steps.canonical_request());
}

#[inline(never)]
fn step_session(steps: &Steps) {
    black_box(steps.session());
}

/// The canonical request and the session are part of it here: a decision is nothing without them.
#[inline(never)]
fn step_decision(steps: &Steps) {
    let (request, session) = (steps.canonical_request(), steps.session());
    black_box(steps.decision(&request, session));
}

#[inline(never)]
fn step_hygiene(steps: &Steps) {
    black_box(steps.hygiene());
}

#[inline(never)]
fn step_seal(steps: &Steps) {
    black_box(steps.seal());
}

#[inline(never)]
fn step_unseal(steps: &Steps) {
    black_box(steps.unseal());
}
