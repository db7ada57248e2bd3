//! What an authenticated request pays to Vestibule alone, step by step, and what it costs to keep sessions and to believe ID
//! tokens. `cargo bench --bench hot_path`. The same steps are counted in instructions by `--bench instructions`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a benchmark"
)]

#[path = "hot_path/id_token.rs"]
mod id_token;
#[path = "hot_path/steps.rs"]
mod steps;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use steps::Steps;

fn request(bench: &mut Criterion) {
    let steps = Steps::new(1);
    bench.bench_function("head", |bencher| bencher.iter(|| steps.head()));
    bench.bench_function("canonical request", |bencher| bencher.iter(|| black_box(steps.canonical_request())));
    let (request, session) = (steps.canonical_request(), steps.session());
    bench.bench_function("policy", |bencher| bencher.iter(|| black_box(steps.decision(&request, session.clone()))));
    bench.bench_function("header hygiene", |bencher| bencher.iter(|| black_box(steps.hygiene())));
    bench.bench_function("all of these and the session", |bencher| bencher.iter(|| black_box(steps.all())));
}

fn session(bench: &mut Criterion) {
    for number in [1, 10_000, 1_000_000] {
        let steps = Steps::new(number);
        bench.bench_function(&format!("cookie to session, {number} in the cache"), |bencher| {
            bencher.iter(|| black_box(steps.session()));
        });
    }
    let steps = Steps::new(1);
    bench.bench_function("a session sealed", |bencher| bencher.iter(|| black_box(steps.seal())));
    bench.bench_function("a session opened again", |bencher| bencher.iter(|| black_box(steps.unseal())));
}

fn token(bench: &mut Criterion) {
    for algorithm in ["RS256", "ES256"] {
        let token = id_token::Token::new(algorithm);
        bench.bench_function(&format!("ID token, {algorithm}"), |bencher| bencher.iter(|| black_box(token.verify())));
    }
}

criterion_group!(benches, request, session, token);
criterion_main!(benches);
