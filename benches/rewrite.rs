//! Bytes per second of rewriting a body in chunks of 64 KiB, as they come from an upstream: without an address in it, with a few,
//! with many; plain and in gzip. Beside it, what passing through costs.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vestibule::proxy::answer_body::AnswerBody;
use vestibule::proxy::coding::{Coding, Encoder};
use vestibule::proxy::rewrite::{Origin, Rewriter};

const CHUNK: usize = 64 * 1024;
const SIZE: usize = 4 * 1024 * 1024;

/// A page as browsers load many.
const PAGE: usize = 64 * 1024;

/// Something like a page of a portal, with an address after so many bytes.
fn page(size: usize, every: Option<usize>) -> Vec<u8> {
    let lines = [
        "<div class=\"cv-request-row\" data-key=\"SUP-1042\"><a href=\"/servicedesk/customer/portal/1/SUP-1042\">Printer on fire</a>",
        "{\"id\":\"10042\",\"fields\":{\"summary\":\"Please reset my password\",\"status\":{\"name\":\"Waiting for support\"}},",
        "require([\"servicedesk/internal/feature/portal\"],function(n){n.start({user:null,locale:\"en_US\"});});",
    ];
    let mut text = Vec::with_capacity(size + CHUNK);
    let (mut line, mut since) = (0, 0);
    while text.len() < size {
        let next = lines[line % lines.len()].as_bytes();
        text.extend_from_slice(next);
        text.extend_from_slice(format!(" {}\n", line.wrapping_mul(2_654_435_761) % 1_000_003).as_bytes());
        (line, since) = (line + 1, since + next.len());
        if every.is_some_and(|every| since >= every) {
            text.extend_from_slice(b"<a href=\"https://jira.acme.internal:8443/servicedesk/customer/portal/1\">");
            since = 0;
        }
    }
    text
}

fn gzipped(text: &[u8]) -> Vec<u8> {
    let (mut encoder, mut gzip) = (Encoder::new(Coding::Gzip), Vec::new());
    encoder.write(text, &mut gzip).unwrap();
    encoder.finish(&mut gzip).unwrap();
    gzip
}

fn chunks(body: &[u8]) -> Vec<Bytes> {
    body.chunks(CHUNK).map(Bytes::copy_from_slice).collect()
}

fn through(mut body: AnswerBody, chunks: &[Bytes]) -> usize {
    let mut sent = 0;
    for chunk in chunks {
        sent += black_box(body.push(chunk.clone(), false).unwrap()).len();
    }
    sent + body.push(Bytes::new(), true).unwrap().len()
}

fn rewriting(criterion: &mut Criterion) {
    let pair = ["https://jira.acme.internal:8443", "https://support.acme.com"].map(|text| Origin::parse(text).unwrap());
    let rewriter = Arc::new(Rewriter::new(vec![pair.into()], Vec::new()).unwrap());
    let mut group = criterion.benchmark_group("rewrite");
    group.throughput(Throughput::Bytes(u64::try_from(SIZE).unwrap()));
    group.sample_size(20);
    for (name, every) in [("none", None), ("sparse", Some(10_000)), ("dense", Some(100))] {
        let text = page(SIZE, every);
        let plain = chunks(&text);
        group.bench_function(format!("plain/{name}"), |b| {
            b.iter(|| through(AnswerBody::plain(&rewriter), &plain));
        });
        let gzip = chunks(&gzipped(&text));
        group.bench_function(format!("gzip/{name}"), |b| {
            b.iter(|| through(AnswerBody::coded(&rewriter, Coding::Gzip, Some(Coding::Gzip)), &gzip));
        });
        group.bench_function(format!("gzip_to_plain/{name}"), |b| {
            b.iter(|| through(AnswerBody::coded(&rewriter, Coding::Gzip, None), &gzip));
        });
    }
    let plain = chunks(&page(SIZE, None));
    group.bench_function("passing_through", |b| {
        b.iter(|| plain.iter().map(|chunk| black_box(chunk.clone()).len()).sum::<usize>());
    });
    // What reading each byte once costs: a search for a byte that is not there.
    group.bench_function("reading_once", |b| {
        b.iter(|| plain.iter().filter_map(|chunk| memchr::memchr(0, black_box(chunk))).count());
    });
    group.finish();
    let mut group = criterion.benchmark_group("page");
    group.throughput(Throughput::Bytes(u64::try_from(PAGE).unwrap()));
    for (name, every) in [("none", None), ("sparse", Some(10_000))] {
        let text = page(PAGE, every);
        let (plain, gzip) = (chunks(&text), chunks(&gzipped(&text)));
        group.bench_function(format!("plain/{name}"), |b| {
            b.iter(|| through(AnswerBody::plain(&rewriter), &plain));
        });
        // With a length in its head, and without.
        group.bench_function(format!("gzip/{name}"), |b| {
            b.iter(|| through(AnswerBody::short(&rewriter, Coding::Gzip), &gzip));
        });
        group.bench_function(format!("gzip_stream/{name}"), |b| {
            b.iter(|| through(AnswerBody::coded(&rewriter, Coding::Gzip, Some(Coding::Gzip)), &gzip));
        });
    }
    group.finish();
}

criterion_group!(benches, rewriting);
criterion_main!(benches);
