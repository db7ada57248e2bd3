//! Bodies of answers.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vestibule::proxy::coding::{Coding, Decoder, Encoder, Undecodable};

use super::{Stage, field};
use crate::harness::{Options, TestGateway};

const PAGE: &str = r#"<a href="http://{host}/x"> {"u":"http:\/\/{host}\/"} //{host}/a"#;

pub fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(coding), Vec::new());
    encoder.write(text, &mut out).unwrap();
    encoder.finish(&mut out).unwrap();
    out
}

fn decoded(coding: Coding, octets: &[u8]) -> String {
    let (mut decoder, mut out) = (Decoder::new(coding), Vec::new());
    let keep = |piece: Bytes| {
        out.extend_from_slice(&piece);
        Ok::<_, Undecodable>(())
    };
    decoder.push(octets, keep).unwrap();
    decoder.finish().unwrap();
    String::from_utf8(out).unwrap()
}

fn page_for_visitors(stage: &Stage) -> String {
    stage.public(PAGE).replace(r"http:\/\/", r"https:\/\/")
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_with_addresses_are_rewritten_and_others_pass_untouched() {
    let stage = Stage::new("").await;
    let public = page_for_visitors(&stage);
    for fields in [
        "Content-Type: text/html\r\n",
        "Content-Type: text/html; charset=ISO-8859-1\r\n",
        "Content-Type: application/json\r\n",
        "Content-Type: application/hal+json\r\n",
        "Content-Type: text/javascript\r\n",
        "Content-Type: application/javascript\r\n",
        "Content-Type: text/css\r\n",
        "Content-Type: application/xml\r\n",
        "Content-Type: image/svg+xml\r\n",
        "Content-Type: text/html\r\nContent-Disposition: inline\r\n",
        "Content-Type: text/html\r\nContent-Encoding: identity\r\n",
    ] {
        stage.says_text(
            &format!("{fields}Content-MD5: x\r\nDigest: x\r\nRepr-Digest: x\r\nAccept-Ranges: bytes\r\n"),
            PAGE,
        );
        let answer = stage.get(&[]).await;
        for gone in ["content-length", "content-md5", "digest", "repr-digest"] {
            assert_eq!(field(&answer, gone), None, "{fields}");
        }
        assert_eq!(field(&answer, "accept-ranges"), Some("none"));
        assert_eq!(field(&answer, "vary"), Some("Accept-Encoding"));
        assert_eq!(answer.text().await.unwrap(), public, "{fields}");
    }
    let raw = PAGE.replace("{host}", &stage.host());
    for fields in [
        "Content-Type: text/plain\r\n",
        "Content-Type: application/octet-stream\r\n",
        "Content-Type: application/pdf\r\n",
        "Content-Type: text/html; charset=utf-16\r\n",
        "Content-Type: application/json\r\nContent-Disposition: attachment; filename=a.json\r\n",
        "Content-Type: text/html\r\nCache-Control: private, no-transform\r\n",
        "Content-Type: text/html\r\nContent-Encoding: compress\r\n",
        "Content-Type: text/html\r\nContent-Encoding: gzip, br\r\n",
        "",
    ] {
        stage.says_text(&format!("{fields}ETag: \"1\"\r\nContent-MD5: x\r\nAccept-Ranges: bytes\r\n"), PAGE);
        let answer = stage.get(&[("accept-encoding", "gzip")]).await;
        assert_eq!(field(&answer, "content-length"), Some(raw.len().to_string().as_str()), "{fields}");
        assert_eq!((field(&answer, "etag"), field(&answer, "content-md5")), (Some("\"1\""), Some("x")));
        assert_eq!(field(&answer, "accept-ranges"), Some("bytes"));
        assert_eq!(answer.bytes().await.unwrap(), raw.as_bytes(), "{fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_each_coding_arrive_in_one_that_the_visitor_reads() {
    let stage = Stage::new("").await;
    let public = page_for_visitors(&stage);
    let page = PAGE.replace("{host}", &stage.host());
    for coding in Coding::ALL {
        let body = encoded(coding, page.as_bytes());
        stage.says(200, &format!("Content-Type: text/html\r\nContent-Encoding: {}\r\n", coding.name()), &body);
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", Some(coding)),
            (coding.name(), Some(coding)),
            ("*", Some(coding)),
            ("identity", None),
            ("br", Some(Coding::Brotli)),
        ] {
            let answer = stage.get(&[("accept-encoding", accepted)]).await;
            assert_eq!(field(&answer, "content-encoding"), expected.map(Coding::name), "{coding:?} {accepted}");
            assert_eq!(field(&answer, "vary"), Some("Accept-Encoding"));
            let octets = answer.bytes().await.unwrap();
            let text =
                expected.map_or_else(|| String::from_utf8(octets.to_vec()).unwrap(), |coding| decoded(coding, &octets));
            assert_eq!(text, public, "{coding:?} {accepted}");
        }
        let head =
            stage.ask(reqwest::Method::HEAD, "/public/x", &[("accept-encoding", "gzip, br, zstd, deflate")]).await;
        assert_eq!(field(&head, "content-encoding"), Some(coding.name()));
        assert_eq!(field(&head, "content-length"), None);
        // HTTP/2, too.
        let client = stage.gateway.client_builder().http2_prior_knowledge().build().unwrap();
        let asked = client.get(format!("{}/public/x", stage.gateway.origin())).header("accept-encoding", coding.name());
        assert_eq!(decoded(coding, &asked.send().await.unwrap().bytes().await.unwrap()), public);
    }
    // Where there is nothing to replace, nothing is encoded anew.
    for coding in Coding::ALL {
        let body = encoded(coding, b"<p>of nobody's address</p>");
        stage.says(200, &format!("Content-Type: text/html\r\nContent-Encoding: {}\r\n", coding.name()), &body);
        for client in [stage.gateway.client_builder(), stage.gateway.client_builder().http2_prior_knowledge()] {
            let client = client.build().unwrap();
            let asked = client.get(format!("{}/public/x", stage.gateway.origin()));
            let answer = asked.header("accept-encoding", coding.name()).send().await.unwrap();
            assert_eq!(field(&answer, "content-encoding"), Some(coding.name()));
            assert_eq!(answer.bytes().await.unwrap(), body, "{coding:?}");
        }
    }
    stage.says(200, "Content-Type: text/html\r\nContent-Encoding: x-gzip\r\n", encoded(Coding::Gzip, page.as_bytes()));
    assert_eq!(stage.get(&[]).await.text().await.unwrap(), public);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_decode_is_cut_off_and_hurts_nobody_else() {
    let stage = Stage::new("").await;
    let whole = encoded(Coding::Gzip, &vec![b' '; 128 * 1024 * 1024]);
    let fields = "Content-Type: text/html\r\nContent-Encoding: gzip\r\n";
    for body in [&whole[..], &whole[..whole.len() / 2], b"this is not gzip"] {
        stage.says(200, fields, body);
        for accepted in ["identity", "gzip"] {
            let request = stage.gateway.client().get(format!("{}/public/x", stage.gateway.origin()));
            let whole = match request.header("accept-encoding", accepted).send().await {
                Ok(answer) if answer.status() == 200 => answer.bytes().await.is_ok(),
                Ok(answer) => {
                    assert_eq!(answer.status(), 502);
                    false
                }
                Err(_) => false,
            };
            assert!(!whole, "{accepted}: taken for whole");
        }
    }
    stage.says_text("Content-Type: text/html\r\n", PAGE);
    assert_eq!(stage.get(&[]).await.text().await.unwrap(), page_for_visitors(&stage));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_origins_and_texts_are_replaced_by_setting() {
    let stage = Stage::new(
        "    rewrite:\n      origins:\n        - { upstream: \"https://jira.acme.com\" }\n        - { upstream: \"https://wiki.internal:8443\", public: \"https://wiki.acme.com\" }\n      \
         content_types: [text/html, text/plain]\n      texts:\n        - { from: \"Powered by Jira\", to: \"Acme Support\", content_types: [text/html] }\n        \
         - { from: \"jira-prod-7\", to: \"support\" }\n      largest_body: 1KiB\n",
    )
    .await;
    let text = "https://jira.acme.com/x https://wiki.internal:8443/y http://{host}/z Powered by Jira jira-prod-7";
    let public = format!("{0}/x https://wiki.acme.com/y {0}/z", stage.gateway.origin());
    for (content_type, expected) in [
        ("text/html", format!("{public} Acme Support support")),
        ("text/plain", format!("{public} Powered by Jira support")),
        ("application/json", text.replace("{host}", &stage.host())),
    ] {
        stage.says_text(&format!("Content-Type: {content_type}\r\n"), text);
        assert_eq!(stage.get(&[]).await.text().await.unwrap(), expected);
    }
    let long = format!("{}http://{}/", "x".repeat(2000), stage.host());
    stage.says(200, "Content-Type: text/html\r\n", &long);
    assert_eq!(stage.get(&[]).await.text().await.unwrap(), long, "longer than the operator wants");
    stage.says(302, "Location: https://jira.acme.com/x\r\n", "");
    assert_eq!(field(&stage.get(&[]).await, "location"), Some(format!("{}/x", stage.gateway.origin()).as_str()));
}

/// An upstream that sends a chunk, and the next when it is told to.
async fn in_steps(head: &'static str) -> (std::net::SocketAddr, tokio::sync::mpsc::Sender<Vec<u8>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mut chunks) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{head}\r\n").as_bytes())
            .await
            .unwrap();
        while let Some(chunk) = chunks.recv().await {
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), &chunk, b"\r\n"].concat();
            stream.write_all(&framed).await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    });
    (address, sender)
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_arrive_as_they_are_sent() {
    for (head, accepted) in [
        ("Content-Type: text/event-stream\r\n", "gzip"),
        ("Content-Type: application/json\r\n", "identity"),
        ("Content-Type: text/html\r\nContent-Encoding: gzip\r\n", "gzip"),
    ] {
        let (address, sender) = in_steps(head).await;
        let gateway = TestGateway::start(Options::plain(address)).await;
        let asked = gateway.client().get(format!("{}/public/x", gateway.origin())).header("accept-encoding", accepted);
        let mut encoder = head.contains("gzip").then(|| Encoder::new(Coding::Gzip));
        let mut decoder = head.contains("gzip").then(|| Decoder::new(Coding::Gzip));
        let mut answer = None;
        let mut asked = Some(tokio::spawn(asked.send()));
        for step in 0..3 {
            let text = format!("data: event {step}\n\n");
            let mut chunk = Vec::new();
            match &mut encoder {
                Some(encoder) => {
                    encoder.write(text.as_bytes(), &mut chunk).unwrap();
                    encoder.flush(&mut chunk).unwrap();
                }
                None => chunk = text.clone().into_bytes(),
            }
            sender.send(chunk).await.unwrap();
            if let Some(asked) = asked.take() {
                answer = Some(asked.await.unwrap().unwrap());
            }
            // Nothing more is sent before this has arrived: a gateway that waits would wait for ever.
            let mut seen = Vec::new();
            while seen.len() < text.len() {
                let part = answer.as_mut().unwrap().chunk().await.unwrap().unwrap();
                match &mut decoder {
                    Some(decoder) => decoder
                        .push(&part, |piece| {
                            seen.extend_from_slice(&piece);
                            Ok::<_, Undecodable>(())
                        })
                        .unwrap(),
                    None => seen.extend_from_slice(&part),
                }
            }
            assert_eq!(String::from_utf8(seen).unwrap(), text, "{head}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_chunks_of_one_byte_is_the_same() {
    let (address, sender) = in_steps("Content-Type: text/html\r\n").await;
    let gateway = TestGateway::start(Options::plain(address)).await;
    let asked = tokio::spawn(gateway.client().get(format!("{}/public/x", gateway.origin())).send());
    for byte in PAGE.replace("{host}", &address.to_string()).bytes() {
        sender.send(vec![byte]).await.unwrap();
    }
    drop(sender);
    let origin = gateway.origin();
    let expected = PAGE
        .replace("http://{host}", &origin)
        .replace(r"http:\/\/{host}", &origin.replace('/', r"\/"))
        .replace("//{host}", origin.strip_prefix("https:").unwrap());
    assert_eq!(asked.await.unwrap().unwrap().text().await.unwrap(), expected);
}
