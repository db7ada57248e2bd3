use proptest::prelude::*;

use super::*;
use crate::proxy::rewrite::Origin;

fn rewriter() -> Arc<Rewriter> {
    let pair = ["https://jsm.internal", "https://support.acme.com"].map(|text| Origin::parse(text).unwrap());
    Arc::new(Rewriter::new(vec![pair.into()], Vec::new()).unwrap())
}

fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(coding), Vec::new());
    encoder.write(text, &mut out).unwrap();
    encoder.finish(&mut out).unwrap();
    out
}

fn decoded(coding: Coding, octets: &[u8]) -> Vec<u8> {
    let (mut decoder, mut out) = (Decoder::new(coding), Vec::new());
    decoder
        .push(octets, |piece| {
            out.extend_from_slice(&piece);
            Ok::<_, Undecodable>(())
        })
        .unwrap();
    decoder.finish().unwrap();
    out
}

fn through(from: Coding, to: Option<Coding>, octets: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut body = AnswerBody::coded(&rewriter(), from, to);
    let (mut out, mut begin) = (Vec::new(), 0);
    for cut in cuts {
        out.extend_from_slice(&body.push(Bytes::copy_from_slice(&octets[begin..*cut]), false).unwrap());
        begin = *cut;
    }
    out.extend_from_slice(&body.push(Bytes::copy_from_slice(&octets[begin..]), true).unwrap());
    to.map_or(out.clone(), |to| decoded(to, &out))
}

const TEXT: &str =
    r#"<a href="https://jsm.internal/x">{"u":"https:\/\/jsm.internal\/"} https://jsm.internal:8444 //jsm.internal"#;
const PUBLIC: &str = r#"<a href="https://support.acme.com/x">{"u":"https:\/\/support.acme.com\/"} https://jsm.internal:8444 //support.acme.com"#;

#[test]
fn encoded_bodies_split_at_every_byte_are_the_same() {
    for from in Coding::ALL {
        let octets = encoded(from, TEXT.as_bytes());
        for to in Coding::ALL.map(Some).into_iter().chain([None]) {
            for cut in 0..=octets.len() {
                assert_eq!(through(from, to, &octets, &[cut]), PUBLIC.as_bytes(), "{from:?} {to:?} {cut}");
            }
        }
    }
}

#[test]
fn what_arrives_goes_on_at_once() {
    for coding in Coding::ALL {
        let (mut upstream, mut body) = (Encoder::new(coding), AnswerBody::coded(&rewriter(), coding, Some(coding)));
        let (mut sent, mut visitor, mut seen) = (Vec::new(), Decoder::new(coding), Vec::new());
        upstream.write(b"<p>first</p>", &mut sent).unwrap();
        upstream.flush(&mut sent).unwrap();
        let out = body.push(sent.into(), false).unwrap();
        visitor
            .push(&out, |piece| {
                seen.extend_from_slice(&piece);
                Ok::<_, Undecodable>(())
            })
            .unwrap();
        assert_eq!(seen, b"<p>first</p>", "{coding:?}");
    }
}

#[test]
fn a_short_body_without_an_address_goes_as_it_came() {
    for coding in Coding::ALL {
        let octets = encoded(coding, b"<p>nothing of the portal's; https://jsm.internal.example is another one</p>");
        for cut in 0..=octets.len() {
            let mut body = AnswerBody::short(&rewriter(), coding);
            let (first, rest) = octets.split_at(cut);
            assert!(body.push(Bytes::copy_from_slice(first), false).unwrap().is_empty(), "{coding:?} {cut}");
            assert_eq!(body.push(Bytes::copy_from_slice(rest), true).unwrap(), octets, "{coding:?} {cut}");
        }
        let mut body = AnswerBody::short(&rewriter(), coding);
        let out = [body.push(Bytes::copy_from_slice(&octets), false).unwrap(), body.push(Bytes::new(), true).unwrap()];
        assert_eq!(out.concat(), octets, "{coding:?}, its end told apart");
        let mut body = AnswerBody::short(&rewriter(), coding);
        assert!(body.push(Bytes::copy_from_slice(&octets[..octets.len() / 2]), true).is_err(), "{coding:?}, cut");
        let mut body = AnswerBody::short(&rewriter(), coding);
        assert!(body.push(Bytes::new(), true).unwrap().is_empty());
    }
}

#[test]
fn a_short_body_with_an_address_is_rewritten_wherever_it_is_cut() {
    for coding in Coding::ALL {
        let octets = encoded(coding, TEXT.as_bytes());
        for cut in 0..=octets.len() {
            let mut body = AnswerBody::short(&rewriter(), coding);
            let (first, rest) = octets.split_at(cut);
            let mut out = body.push(Bytes::copy_from_slice(first), false).unwrap().to_vec();
            out.extend_from_slice(&body.push(Bytes::copy_from_slice(rest), true).unwrap());
            assert_eq!(decoded(coding, &out), PUBLIC.as_bytes(), "{coding:?} {cut}");
        }
    }
}

#[test]
fn no_more_is_held_than_a_short_body_has() {
    // Whatever the head said of its length, or what a few octets become.
    let text: Vec<u8> = (0..2_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for coding in Coding::ALL {
        let long = encoded(coding, &text[..1_000_000]);
        let mut body = AnswerBody::short(&rewriter(), coding);
        let (mut given, mut out) = (0, Vec::new());
        for chunk in long.chunks(64 * 1024) {
            given += chunk.len();
            out.extend_from_slice(&body.push(Bytes::copy_from_slice(chunk), false).unwrap());
            assert!(given <= LONGEST || !out.is_empty(), "{coding:?}");
        }
        out.extend_from_slice(&body.push(Bytes::new(), true).unwrap());
        assert_eq!(decoded(coding, &out), &text[..1_000_000], "{coding:?}");
        let bomb = encoded(coding, &vec![b' '; 64 * 1024 * 1024]);
        let mut body = AnswerBody::short(&rewriter(), coding);
        let failed = bomb.chunks(64 * 1024).find_map(|chunk| body.push(Bytes::copy_from_slice(chunk), false).err());
        assert!(matches!(failed, Some(BodyFailed::Decode(Undecodable::Bomb))), "{coding:?}: {failed:?}");
    }
}

#[test]
fn an_encoded_body_that_is_empty_stays_empty() {
    for coding in Coding::ALL {
        let mut body = AnswerBody::coded(&rewriter(), coding, Some(coding));
        assert!(body.push(Bytes::new(), true).unwrap().is_empty());
    }
}

#[test]
fn a_decompression_bomb_is_cut_off() {
    let zeroes = vec![b' '; 256 * 1024 * 1024];
    for coding in Coding::ALL {
        let bomb = encoded(coding, &zeroes);
        for to in [None, Some(coding)] {
            let mut body = AnswerBody::coded(&rewriter(), coding, to);
            let mut most = 0;
            let failed =
                bomb.chunks(64 * 1024).find_map(|chunk| match body.push(Bytes::copy_from_slice(chunk), false) {
                    Ok(out) => {
                        most = most.max(out.len());
                        None
                    }
                    Err(failed) => Some(failed),
                });
            assert!(matches!(failed, Some(BodyFailed::Decode(Undecodable::Bomb))), "{coding:?}: {failed:?}");
            assert!(most <= MOST_DECODED + 1024, "{coding:?} {most}");
        }
    }
}

#[test]
fn a_cut_body_is_not_passed_off_as_whole() {
    for coding in Coding::ALL {
        let octets = encoded(coding, TEXT.as_bytes());
        let mut body = AnswerBody::coded(&rewriter(), coding, Some(coding));
        let cut = Bytes::copy_from_slice(&octets[..octets.len() / 2]);
        assert!(body.push(cut, true).is_err(), "{coding:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_chunking_of_an_encoded_body_equals_the_whole(
        pieces in proptest::collection::vec(
            prop_oneof![Just("https://jsm.internal"), Just("https:\\/\\/jsm.internal/"), Just("text "), Just("%2F%2Fjsm.internal"), Just("repeated repeated repeated"), Just("q7")],
            0..60,
        ),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        from in 0..4_usize,
        to in 0..5_usize,
    ) {
        let text = pieces.concat();
        let whole = rewriter().text(text.as_bytes()).map_or(text.as_bytes().to_vec(), |bytes| bytes.to_vec());
        let octets = encoded(Coding::ALL[from], text.as_bytes());
        let mut cuts: Vec<usize> = cuts.iter().map(|index| index.index(octets.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(through(Coding::ALL[from], Coding::ALL.get(to).copied(), &octets, &cuts), whole);
    }
}
