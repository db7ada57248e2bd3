use std::io::Write as _;

use bytes::Bytes;

use super::*;

fn encoded(coding: Coding, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(coding), Vec::new());
    for piece in pieces {
        encoder.write(piece, &mut out).unwrap();
        encoder.flush(&mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out
}

fn decoded(coding: Coding, chunks: &[&[u8]]) -> Result<Vec<u8>, Undecodable> {
    let (mut decoder, mut out) = (Decoder::new(coding), Vec::new());
    for chunk in chunks {
        decoder.push(chunk, |piece: Bytes| {
            out.extend_from_slice(&piece);
            Ok::<_, Undecodable>(())
        })?;
    }
    decoder.finish()?;
    Ok(out)
}

fn long_text() -> Vec<u8> {
    (0..20_000).flat_map(|n: u32| format!("line {n} of {}\n", n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
}

#[test]
fn what_is_encoded_is_decoded_again_however_it_is_cut() {
    let long = long_text();
    for coding in Coding::ALL {
        for text in [&b""[..], b"a", b"see https://jsm.internal/x", &long] {
            let whole = encoded(coding, &[text]);
            assert_eq!(decoded(coding, &[&whole]).unwrap(), text, "{coding:?}");
            let bytes: Vec<&[u8]> = whole.chunks(if whole.len() > 1000 { 997 } else { 1 }).collect();
            assert_eq!(decoded(coding, &bytes).unwrap(), text, "{coding:?}");
        }
        let pieces: Vec<&[u8]> = long.chunks(50_000).collect();
        assert_eq!(decoded(coding, &[&encoded(coding, &pieces)]).unwrap(), long, "{coding:?}");
    }
}

#[test]
fn what_was_flushed_can_be_read() {
    for coding in Coding::ALL {
        let (mut encoder, mut out) = (Encoder::new(coding), Vec::new());
        encoder.write(b"event 1", &mut out).unwrap();
        encoder.flush(&mut out).unwrap();
        let (mut decoder, mut text) = (Decoder::new(coding), Vec::new());
        let mut keep = |piece: Bytes| {
            text.extend_from_slice(&piece);
            Ok::<_, Undecodable>(())
        };
        decoder.push(&out, &mut keep).unwrap();
        assert_eq!(text, b"event 1", "{coding:?}");
    }
}

#[test]
fn every_way_of_deflate_is_read() {
    let text = long_text();
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    raw.write_all(&text).unwrap();
    let raw = raw.finish().unwrap();
    assert_eq!(decoded(Coding::Deflate, &[&raw]).unwrap(), text);
    let bytes: Vec<&[u8]> = raw.chunks(1).collect();
    assert_eq!(decoded(Coding::Deflate, &bytes).unwrap(), text);
    assert_eq!(encoded(Coding::Deflate, &[b"x"])[0], 0x78, "sent as RFC 9110, section 8.4.1.2 wants it");
}

#[test]
fn members_and_frames_follow_each_other() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let two = [encoded(coding, &[b"one "]), encoded(coding, &[b"two"])].concat();
        assert_eq!(decoded(coding, &[&two]).unwrap(), b"one two");
        let bytes: Vec<&[u8]> = two.chunks(1).collect();
        assert_eq!(decoded(coding, &bytes).unwrap(), b"one two");
    }
    let padded = [encoded(Coding::Gzip, &[b"one"]), vec![0; 100]].concat();
    assert_eq!(decoded(Coding::Gzip, &[&padded]).unwrap(), b"one");
}

#[test]
fn a_cut_or_broken_body_is_noticed() {
    let text = long_text();
    for coding in Coding::ALL {
        let whole = encoded(coding, &[&text]);
        for end in [1, 2, 5, 20, whole.len() / 2, whole.len() - 1] {
            let told = decoded(coding, &[&whole[..end]]);
            assert!(told.is_err(), "{coding:?} cut at {end}");
        }
        assert!(
            decoded(coding, &[b"<html>this is no compressed text at all, whatever the header says</html>"]).is_err()
        );
        assert!(decoded(coding, &[]).unwrap().is_empty(), "an answer without a body");
    }
    let mut wrong = encoded(Coding::Gzip, &[b"some text"]);
    let crc = wrong.len() - 6;
    wrong[crc] ^= 1;
    assert!(matches!(decoded(Coding::Gzip, &[&wrong]), Err(Undecodable::Broken { .. })));
}
