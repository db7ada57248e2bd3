use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap()
}

fn rewriter(pairs: &[(&str, &str)], texts: &[(&str, &str)]) -> Arc<Rewriter> {
    let pairs = pairs.iter().map(|(from, to)| (origin(from), origin(to))).collect();
    let texts = texts.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    Arc::new(Rewriter::new(pairs, texts).unwrap())
}

fn with_port() -> Arc<Rewriter> {
    rewriter(&[("https://jsm.internal:8444", "https://support.acme.com")], &[])
}

fn default_port() -> Arc<Rewriter> {
    rewriter(&[("https://jsm.internal", "https://support.acme.com")], &[])
}

fn plain() -> Arc<Rewriter> {
    rewriter(&[("http://127.0.0.1:8080", "https://support.acme.com:8443")], &[])
}

fn all(rewriter: &Rewriter, text: &str) -> String {
    let changed = rewriter.text(text.as_bytes());
    String::from_utf8(changed.map_or(text.as_bytes().to_vec(), |bytes| bytes.to_vec())).unwrap()
}

/// What is rewritten, with what becomes of it: for the bodies that are split at every byte, too.
fn spellings() -> Vec<(Arc<Rewriter>, &'static str, &'static str)> {
    let port = |from, to| (with_port(), from, to);
    let none = |from, to| (default_port(), from, to);
    let plain = |from, to| (plain(), from, to);
    vec![
        port("<a href=\"https://jsm.internal:8444/x\">", "<a href=\"https://support.acme.com/x\">"),
        port(r#"{"u":"https:\/\/jsm.internal:8444\/x"}"#, r#"{"u":"https:\/\/support.acme.com\/x"}"#),
        port(r"'https:\u002F\u002Fjsm.internal:8444\u002Fx'", r"'https:\u002F\u002Fsupport.acme.com\u002Fx'"),
        port(r"'https\u003a\u002f\u002fjsm.internal\u003a8444'", r"'https\u003a\u002f\u002fsupport.acme.com'"),
        port(r"'https:\x2F\x2Fjsm.internal:8444\x2Fx'", r"'https:\x2F\x2Fsupport.acme.com\x2Fx'"),
        port("?continue=https%3A%2F%2Fjsm.internal%3A8444%2Fx", "?continue=https%3A%2F%2Fsupport.acme.com%2Fx"),
        port("?continue=https:%2f%2fjsm.internal:8444", "?continue=https:%2f%2fsupport.acme.com"),
        port("c%3Dhttps%253A%252F%252Fjsm.internal%253A8444%252F", "c%3Dhttps%253A%252F%252Fsupport.acme.com%252F"),
        port("&quot;https:&#x2F;&#x2F;jsm.internal:8444&quot;", "&quot;https:&#x2F;&#x2F;support.acme.com&quot;"),
        port("https&#58;&#47;&#47;jsm.internal&#58;8444", "https&#58;&#47;&#47;support.acme.com"),
        port(r#""{\"u\":\"https:\\/\\/jsm.internal:8444\\/\"}""#, r#""{\"u\":\"https:\\/\\/support.acme.com\\/\"}""#),
        port("HTTPS://JSM.internal:8444", "https://support.acme.com"),
        port("see https://jsm.internal:8444.", "see https://support.acme.com."),
        port("see https://jsm.internal:8444, then", "see https://support.acme.com, then"),
        port("a\\nhttps://jsm.internal:8444\\n", "a\\nhttps://support.acme.com\\n"),
        port("url(//jsm.internal:8444/a.png)", "url(//support.acme.com/a.png)"),
        port("src=//jsm.internal:8444/a", "src=//support.acme.com/a"),
        port("//jsm.internal:8444/jira/x", "//support.acme.com/jira/x"),
        port(r#""\/\/jsm.internal:8444\/""#, r#""\/\/support.acme.com\/""#),
        port("u=%2F%2Fjsm.internal%3A8444&v", "u=%2F%2Fsupport.acme.com&v"),
        port("u%3D%2F%2Fjsm.internal%3A8444", "u%3D%2F%2Fsupport.acme.com"),
        port(r"\u0022\u002F\u002Fjsm.internal:8444\u0022", r"\u0022\u002F\u002Fsupport.acme.com\u0022"),
        port("wss://jsm.internal:8444/live", "wss://support.acme.com/live"),
        port("https://jsm.internal:8444https://jsm.internal:8444", "https://jsm.internal:8444https://support.acme.com"),
        port(
            "https://jsm.internal:8444 https://jsm.internal:8444",
            "https://support.acme.com https://support.acme.com",
        ),
        port("https://jsm.internal:8444", "https://support.acme.com"),
        none("https://jsm.internal/jira/browse/A-1?x#y", "https://support.acme.com/jira/browse/A-1?x#y"),
        none("https://jsm.internal:443/x", "https://support.acme.com/x"),
        none("https%3A%2F%2Fjsm.internal%3A443%2Fx", "https%3A%2F%2Fsupport.acme.com%2Fx"),
        none("https://jsm.internal: there", "https://support.acme.com: there"),
        none("https://jsm.internal?x", "https://support.acme.com?x"),
        none("https://jsm.internal%26y", "https://support.acme.com%26y"),
        none("https://jsm.internal&amp;y", "https://support.acme.com&amp;y"),
        none("'https://jsm.internal\\", "'https://support.acme.com\\"),
        none("https://jsm.internal%", "https://support.acme.com%"),
        plain("http://127.0.0.1:8080/x", "https://support.acme.com:8443/x"),
        plain("ws://127.0.0.1:8080/x", "wss://support.acme.com:8443/x"),
        plain(r"http:\/\/127.0.0.1:8080\/x", r"https:\/\/support.acme.com:8443\/x"),
        plain("http%3a%2f%2f127.0.0.1%3a8080", "https%3a%2f%2fsupport.acme.com%3a8443"),
        plain("=%2F%2F127.0.0.1%3A8080/", "=%2F%2Fsupport.acme.com%3A8443/"),
        plain("'//127.0.0.1:8080/'", "'//support.acme.com:8443/'"),
    ]
}

/// Other hosts, and other things: left alone.
fn others() -> Vec<(Arc<Rewriter>, &'static str)> {
    let mut all = Vec::new();
    for text in [
        "https://jsm.internal:84440/x",
        "https://jsm.internal:8444.evil.test/",
        "https://jsm.internal:8444@evil.test/",
        "https://jsm.internal:8444%40evil.test/",
        "https://jsm.internal:8444%2eevil.test/",
        "https://jsm.internal:8444-x.test",
        "https://jsm.internal/x",
        "https://jsm.internal:/x",
        "http://jsm.internal:8444/x",
        "ftp://jsm.internal:8444/x",
        "https://other.test//jsm.internal:8444/x",
        "https://my-jsm.internal:8444/x",
        "https://user@jsm.internal:8444/x",
        "https:/\\/jsm.internal:8444",
        "jsm.internal:8444",
        "ana@jsm.internal:8444",
    ] {
        all.push((with_port(), text));
    }
    for text in [
        "https://jsm.internal:8444",
        "https://jsm.internal:4433",
        "https://jsm.internal:443.evil.test",
        "https://jsm.internal.evil.test",
        "https://jsm.internal\\u002eevil.test",
        "https://jsm.internal&#46;evil.test",
        "https%3A%2F%2Fjsm.internal%3A8444",
        "https%3A%2F%2Fjsm.internal%2Eevil.test",
        "https:\\/\\/jsm.internal\\u003a8444",
        "https://jsm.internal:x@evil.test",
        "https://jsm.internal:@evil.test",
        "https://jsm.internal_x",
        "https://jsm.internalé",
        "https://jsm.internal%E3%80%82evil.test",
        "wss://jsm.internal:8444",
        "ws://jsm.internal",
    ] {
        all.push((default_port(), text));
    }
    all
}

#[test]
fn every_spelling_is_rewritten() {
    for (rewriter, from, to) in spellings() {
        assert_eq!(all(&rewriter, from), to, "{from}");
    }
}

#[test]
fn another_host_is_left_alone() {
    for (rewriter, text) in others() {
        assert_eq!(all(&rewriter, text), text);
        assert_eq!(rewriter.address(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn there_and_back_is_the_same() {
    let pairs = [("http://127.0.0.1:8080", "https://support.acme.com:8443")];
    let back = rewriter(&[(pairs[0].1, pairs[0].0)], &[]);
    for (there, from, to) in spellings().into_iter().filter(|(_, from, _)| from.contains("127.0.0.1")) {
        assert_eq!(all(&there, from), to);
        assert_eq!(all(&back, to), from);
    }
}

#[test]
fn an_address_stands_at_the_start() {
    assert_eq!(default_port().address(b"https://JSM.internal/a").unwrap(), b"https://support.acme.com/a");
    assert_eq!(default_port().address(b"/?u=https://jsm.internal/a"), None);
}

#[test]
fn ipv6_addresses_are_known_encoded_too() {
    let there = rewriter(&[("http://[::1]:8080", "https://support.acme.com")], &[]);
    assert_eq!(all(&there, "http://[::1]:8080/x"), "https://support.acme.com/x");
    assert_eq!(all(&there, "=http%3A%2F%2F%5B%3A%3A1%5D%3A8080"), "=https%3A%2F%2Fsupport.acme.com");
    let back = rewriter(&[("https://support.acme.com", "http://[::1]:8080")], &[]);
    assert_eq!(all(&back, "https%3A%2F%2Fsupport.acme.com%2F"), "http%3A%2F%2F%5B%3A%3A1%5D%3A8080%2F");
}

#[test]
fn several_origins_and_texts_are_replaced_at_once() {
    let many = rewriter(
        &[
            ("https://jsm.internal", "https://support.acme.com"),
            ("https://wiki.jsm.internal", "https://wiki.acme.com"),
            ("https://jsm.internal:8444", "https://live.acme.com"),
        ],
        &[
            ("https://jsm.internal/wiki", "https://wiki.acme.com"),
            ("https://jsm.internal/wiki/old", "https://old.acme.com"),
            ("Acme Jira", "Acme Support"),
            ("wiki.acme.com", "never: what was replaced is not replaced again"),
        ],
    );
    let from = "Acme Jira acme jira https://jsm.internal/x https://wiki.jsm.internal/ https://jsm.internal:8444/ \
                https://jsm.internal/wiki/1 https://jsm.internal/wiki/old/1";
    let to = "Acme Support acme jira https://support.acme.com/x https://wiki.acme.com/ https://live.acme.com/ \
              https://wiki.acme.com/1 https://old.acme.com/1";
    assert_eq!(all(&many, from), to);
    for first in 0..from.len() {
        assert_eq!(in_chunks(&many, from.as_bytes(), &[first]), to.as_bytes(), "{first}");
    }
}

/// Rewrites `text` in chunks that end at these places.
fn in_chunks(rewriter: &Arc<Rewriter>, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut body = BodyRewriter::new(Arc::clone(rewriter));
    let mut out = Vec::new();
    let mut begin = 0;
    for cut in cuts {
        out.extend_from_slice(&body.push(Bytes::copy_from_slice(&text[begin..*cut]), false));
        begin = *cut;
    }
    out.extend_from_slice(&body.push(Bytes::copy_from_slice(&text[begin..]), true));
    assert_eq!(body.held(), 0);
    out
}

#[test]
fn bodies_split_at_every_byte_are_the_same() {
    let with_others = others().into_iter().map(|(rewriter, text)| (rewriter, text, text));
    for (rewriter, from, to) in spellings().into_iter().chain(with_others) {
        for around in ["", "x", "\"", "https://", "\\", " // "] {
            let (from, to) = (format!("{around}{from}{around}"), format!("{around}{to}{around}"));
            let whole = all(&rewriter, &from);
            if around == "\"" {
                assert_eq!(whole, to);
            }
            let bytes = from.as_bytes();
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let out = in_chunks(&rewriter, bytes, &[first, second]);
                    assert_eq!(String::from_utf8_lossy(&out), whole, "{from:?} at {first} and {second}");
                }
            }
            let every: Vec<usize> = (0..bytes.len()).collect();
            assert_eq!(in_chunks(&rewriter, bytes, &every), whole.as_bytes());
        }
    }
}

#[test]
fn what_cannot_be_an_address_is_not_held_back() {
    for (chunk, held) in [
        ("<script>go()</script>", 0),
        ("data: {}\n\n", 0),
        ("see https://jsm.internal/x", 0),
        ("see https://jsm.internal", 20),
        ("see https://jsm.internal.", 21),
        ("see https://jsm.inter", 17),
        ("see https://jsn.inter", 0),
        ("see http", 4),
        ("see https:\\u002", 11),
    ] {
        let mut body = BodyRewriter::new(default_port());
        body.push(Bytes::from_static(chunk.as_bytes()), false);
        assert_eq!(body.held(), held, "{chunk}");
    }
}

#[test]
fn little_is_held_back_however_long_it_goes_on() {
    for endless in ["\\", "%25", "https://", "https://jsm.internal:", "&#000", "/", "https://jsm.internal:8444"] {
        for rewriter in [with_port(), default_port()] {
            let mut body = BodyRewriter::new(rewriter);
            for _ in 0..1000 {
                body.push(Bytes::from_static(endless.as_bytes()), false);
                assert!(body.held() < 200, "{endless}: {}", body.held());
            }
        }
    }
}

#[test]
fn what_holds_no_address_is_not_copied() {
    let mut body = BodyRewriter::new(default_port());
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let out = body.push(chunk.clone(), false);
    assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_chunking_equals_the_whole(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("https://jsm.internal"), Just("https:\\/\\/jsm.internal"), Just("//jsm.internal"),
                Just("https%3A%2F%2Fjsm.internal"), Just("\\u002F\\u002Fjsm.internal"), Just("wss://"), Just("https"),
                Just("http://127.0.0.1:8080"), Just("%2F%2F127.0.0.1%3A8080"), Just("JSM.internal"), Just(":443"),
                Just(":8080"), Just("%3A"), Just("8"), Just("."), Just("a"), Just("@"), Just("/"), Just("\\"), Just("%"),
                Just("%25"), Just("&#x2F;"), Just("&#"), Just("\""), Just(" "), Just("="), Just(":"), Just("é"),
                Just("jsm.internal/wiki"), Just("/wiki"), Just("s://jsm"), Just("u002F"), Just("2F"),
            ],
            0..14,
        ),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let rewriter = rewriter(
            &[("https://jsm.internal", "https://support.acme.com"), ("http://127.0.0.1:8080", "https://support.acme.com:8443")],
            &[("s://jsm.internal/wiki", "s://wiki"), ("wiki/wiki", "wiki"), ("jsm.", "JSM.")],
        );
        let text = pieces.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|index| index.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = all(&rewriter, &text);
        prop_assert_eq!(String::from_utf8(in_chunks(&rewriter, text.as_bytes(), &cuts)).unwrap(), whole);
    }
}
