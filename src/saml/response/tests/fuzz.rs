//! A hundred thousand damaged messages (A39): none panics, and none is believed to say anything but what was signed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fixtures::FIXTURES;
use crate::saml::keys::{DecryptionKey, VerificationKeys};
use crate::saml::response::{Expected, Signed, VerifiedResponse, verify_xml};
use crate::saml::test_signer::{self, Encryption, Message};

const INPUTS: usize = 102_400;

/// SplitMix64: the same inputs in every run, so that a failure can be found again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(below.max(1)).unwrap()).unwrap()
    }
}

/// One damaged copy: octets flipped, set, cut out or doubled; tags, whole elements and attributes moved, doubled or removed.
fn damage(original: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut octets = original.to_vec();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(octets.len());
        match dice.roll(9) {
            0 | 1 => octets[at] ^= 1 << dice.roll(8),
            2 => octets[at] = b"<>&\"'=/ !-[]\0#:xsID09\xff"[dice.roll(22)],
            3 => {
                let end = (at + dice.roll(64)).min(octets.len());
                octets.drain(at..end);
            }
            4 => {
                let end = (at + dice.roll(64)).min(octets.len());
                let copy = octets[at..end].to_vec();
                let to = dice.roll(octets.len());
                octets.splice(to..to, copy);
            }
            5 => {
                let what: &[u8] = [
                    &b"<!---->"[..],
                    b"<?x?>",
                    b"<![CDATA[x]]>",
                    b"&#0;",
                    b"<!DOCTYPE x>",
                    b" xmlns:saml=\"urn:x\"",
                    b" ID=\"x\"",
                    b"</saml:Assertion>",
                    b"<x>",
                ][dice.roll(9)];
                octets.splice(at..at, what.iter().copied());
            }
            _ => rearrange(&mut octets, dice),
        }
        if octets.is_empty() {
            octets.push(b'<');
        }
    }
    octets
}

/// Moves, doubles or removes what lies between two `<`.
fn rearrange(octets: &mut Vec<u8>, dice: &mut Dice) {
    let tags: Vec<usize> = octets.iter().enumerate().filter(|(_, octet)| **octet == b'<').map(|(at, _)| at).collect();
    let (from, to) = (dice.roll(tags.len()), dice.roll(tags.len()));
    let (Some(&from), Some(&to)) = (tags.get(from.min(to)), tags.get(from.max(to))) else { return };
    let piece = octets[from..to].to_vec();
    match dice.roll(3) {
        0 => drop(octets.drain(from..to)),
        1 => drop(octets.splice(to..to, piece)),
        _ => {
            octets.drain(from..to);
            let at = dice.roll(octets.len());
            octets.splice(at..at, piece);
        }
    }
}

/// What is believed, without what may be unsigned: the Response's ID, and how many signatures there were.
fn believed(response: VerifiedResponse) -> VerifiedResponse {
    VerifiedResponse { response_id: String::new(), signed: Signed::Assertion, ..response }
}

fn without_first_signature(text: &str) -> Option<String> {
    let end =
        text.find(":Signature>").and_then(|at| text[..at].rfind("</")).filter(|_| text.contains(":Signature>"))?;
    let prefix = &text[end + 2..end + 2 + text[end + 2..].find(':')?];
    let (start, close) = (text.find(&format!("<{prefix}:Signature "))?, format!("</{prefix}:Signature>"));
    Some(format!("{}{}", &text[..start], &text[end + close.len()..]))
}

struct Seed<'a> {
    name: &'a str,
    octets: Vec<u8>,
    expected: Expected<'a>,
    /// What may be believed of it: what it says as it is, and without its first signature, for whoever damages a bad
    /// signature of the Response beyond recognition leaves a good one of the Assertion.
    honest: Vec<VerifiedResponse>,
}

#[test]
fn a39_a_hundred_thousand_damaged_messages() {
    let sites: Vec<(VerificationKeys, Vec<DecryptionKey>)> =
        FIXTURES.iter().map(|fixture| (fixture.site().keys(), fixture.site().decryption_keys())).collect();
    let (keys, decryption_keys) = (test_signer::keys(), test_signer::decryption_keys());
    let message = Message::default();
    let own = [
        ("own, Response signed", message.response_signed()),
        ("own, Assertion signed", message.assertion_signed()),
        ("own, both signed", message.both_signed()),
        ("own, encrypted", message.encrypted(&Encryption::default())),
    ];
    let fixtures = FIXTURES.iter().zip(&sites).map(|(fixture, (keys, decryption_keys))| {
        (fixture.file, fixture.xml(), fixture.expected(keys, decryption_keys, true))
    });
    let own =
        own.into_iter().map(|(name, text)| (name, text.into_bytes(), test_signer::expected(&keys, &decryption_keys)));
    let seeds: Vec<Seed<'_>> = fixtures
        .chain(own)
        .map(|(name, octets, expected)| {
            let text = String::from_utf8(octets.clone()).unwrap();
            let honest = [Some(text.clone()), without_first_signature(&text)].into_iter().flatten();
            let honest = honest.filter_map(|text| verify_xml(text.as_bytes(), &expected).ok().map(believed)).collect();
            Seed { name, octets, expected, honest }
        })
        .collect();

    let (next, accepted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= INPUTS {
                return;
            }
            let seed = &seeds[number % seeds.len()];
            let damaged = damage(&seed.octets, &mut Dice(u64::try_from(number).unwrap()));
            let verdict = catch_unwind(AssertUnwindSafe(|| verify_xml(&damaged, &seed.expected)));
            let Ok(verdict) = verdict else {
                panic!("input {number} of {}: {}", seed.name, String::from_utf8_lossy(&damaged));
            };
            if let Ok(response) = verdict {
                accepted.fetch_add(1, Ordering::Relaxed);
                let changed = !seed.honest.contains(&believed(response));
                assert!(!changed, "input {number} of {}: {}", seed.name, String::from_utf8_lossy(&damaged));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    let accepted = accepted.into_inner();
    println!("{INPUTS} damaged messages of {} seeds, {accepted} believed unchanged", seeds.len());
    assert!(accepted > 0, "some damage lies outside of what was signed");
}
