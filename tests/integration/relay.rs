//! What the relay keeps, and what it must not keep: connections to the upstream after answers that were whole, cut off, too
//! long, left behind by their visitor, or framed by nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM, block};
use crate::harness::{Options, TestGateway, closes, status_of};
use crate::recorder::{Answer, Recorder, http};

fn connections(recorder: &Recorder) -> Vec<usize> {
    recorder.requests().iter().map(|request| request.connection).collect()
}

async fn get(gateway: &TestGateway, method: &str, path: &str) -> String {
    let mut raw = gateway.raw().await;
    raw.send(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).await;
    raw.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_all_visitors_one_after_the_other() {
    let recorder = Recorder::start(Answer::new(|request, _| match request.target() {
        "/public/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".to_vec(),
        "/public/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/public/chunks" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nX-Trailer: 1\r\n\r\n"
                .to_vec()
        }
        "/public/early" => {
            let mut answer = b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\n".to_vec();
            answer.extend(http(200, "", b"late"));
            answer
        }
        _ if request.method() == "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_vec(),
        target => http(200, "", target.as_bytes()),
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    for (method, path, ends) in [
        ("GET", "/public/x", "\r\n\r\n/public/x"),
        ("HEAD", "/public/x", "\r\n\r\n"),
        ("GET", "/public/304", "\r\n\r\n"),
        ("GET", "/public/204", "\r\n\r\n"),
        ("GET", "/public/chunks", "0\r\n\r\n"),
        ("GET", "/public/early", "\r\n\r\nlate"),
        ("GET", "/public/x", "\r\n\r\n/public/x"),
    ] {
        let answer = get(&gateway, method, path).await;
        assert!(answer.ends_with(ends), "{method} {path}: {answer}");
        let answer = gateway.client_builder().http2_prior_knowledge().build().unwrap();
        let answer =
            answer.request(method.parse().unwrap(), format!("{}{path}", gateway.origin())).send().await.unwrap();
        let text = answer.text().await.unwrap();
        assert_eq!(text.is_empty(), ends == "\r\n\r\n", "{method} {path} over HTTP/2: {text}");
    }
    assert_eq!(connections(&recorder), [1; 14], "the connection was not used again");
}

/// What is relayed has connections of its own: that tells it from what goes Pingora's way.
#[tokio::test(flavor = "multi_thread")]
async fn what_reads_and_has_no_body_is_relayed_and_nothing_else() {
    let recorder = Recorder::start(Answer::new(|_, _| http(200, "", b""))).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let client = gateway.client();
    gateway.sign_in(&client, "ana").await;
    let url = format!("{}/private/x", gateway.origin());
    for (method, body) in
        [("GET", ""), ("POST", "x"), ("HEAD", ""), ("GET", "x"), ("POST", ""), ("OPTIONS", ""), ("GET", "")]
    {
        let request = client.request(method.parse().unwrap(), &url).header("origin", gateway.origin());
        let request = if body.is_empty() { request } else { request.body(body) };
        assert_eq!(request.send().await.unwrap().status(), 200, "{method} {body}");
    }
    assert_eq!(connections(&recorder), [1, 2, 1, 2, 2, 2, 1]);
}

/// What is not relayed is read twice: the octets are the same, however they come.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_on_is_the_request_that_was_decided() {
    let recorder = Recorder::start(Answer::new(|request, _| http(200, "", &request.body))).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let session = gateway.sign_in(&gateway.client(), "ana").await;
    let head = |more: &str| {
        format!(
            "POST /private/up?a=%62 HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\nOrigin: {}\r\n{more}\r\n",
            gateway.origin()
        )
    };
    let known = head("Content-Length: 11\r\n");
    let chunked = head("Transfer-Encoding: chunked\r\n");
    let invited = head("Content-Length: 11\r\nExpect: 100-continue\r\n");
    let whole = |body: &str| vec![format!("{known}{body}")];
    let mut requests = vec![
        whole("hello world"),
        vec![known.clone(), "hello world".into()],
        vec![format!("{known}hello"), " world".into()],
        vec![format!("{chunked}5\r\nhello\r\n6\r\n wo"), "rld\r\n0\r\n\r\n".into()],
        vec![invited, "hello world".into()],
    ];
    let (first, rest) = known.split_at(40);
    requests.push(vec![first.into(), rest.into(), "hello world".into()]);
    requests.push(known.chars().map(String::from).chain(["hello world".into()]).collect());
    let mut raw = gateway.raw().await;
    let count = requests.len();
    for parts in requests {
        for part in &parts {
            raw.send(part.as_bytes()).await;
        }
        let answer = raw.answer().await;
        assert!(answer.contains("HTTP/1.1 200") && answer.ends_with("\r\n\r\nhello world"), "{parts:?}: {answer}");
    }
    // What follows before its answer ends the connection, unanswered.
    raw.send(format!("{known}hello worldGET /private/next HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-vestibule={session}\r\n\r\n").as_bytes()).await;
    let answer = raw.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nhello world"), "{answer}");
    let came = recorder.requests();
    assert_eq!(came.len(), count + 1);
    assert!(came.iter().all(|one| one.line() == "POST /private/up?a=%62 HTTP/1.1" && one.body == b"hello world"));
    assert!(came.iter().all(|one| one.all("cookie").is_empty() && one.all("x-request-id").len() == 1), "{came:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_nothing_that_follows_an_answer_is_the_next_visitors() {
    let planted = http(200, "X-Planted: 1\r\n", b"planted");
    let recorder = Recorder::start(Answer::new(move |request, _| {
        let mut answer = match request.target() {
            "/public/behind" => http(200, "", b"own"),
            "/public/behind304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_vec(),
            "/public/behind204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            "/public/behindchunks" => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nown\r\n0\r\n\r\n".to_vec()
            }
            // What a HEAD is answered by has no body, whatever comes.
            _ if request.method() == "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n".to_vec(),
            target => return http(200, "", target.as_bytes()),
        };
        answer.extend(&planted);
        answer
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    for (method, path) in [
        ("GET", "/public/behind"),
        ("GET", "/public/behind304"),
        ("GET", "/public/behind204"),
        ("GET", "/public/behindchunks"),
        ("HEAD", "/public/head"),
    ] {
        let before = recorder.count();
        let odd = get(&gateway, method, path).await;
        assert!(!odd.contains("lanted"), "{odd}");
        let next = get(&gateway, "GET", "/public/next").await;
        assert!(status_of(&next) == 200 && next.ends_with("/public/next"), "after {method} {path}: {next}");
        let used = connections(&recorder);
        assert_ne!(used[before], used[before + 1], "after {method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_a_length_of_nothing_is_no_body_however_it_is_written() {
    let recorder = Recorder::start(Answer::new(|request, _| http(200, "", request.target().as_bytes()))).await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let mut count = 0;
    for media_type in ["application/x-www-form-urlencoded", "application/json", "text/plain"] {
        for length in ["0", "00", "000"] {
            count += 1;
            let path = format!("/public/{count}");
            let mut raw = gateway.raw().await;
            let fields = format!("Host: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n");
            let answer = {
                raw.send(format!("GET {path} HTTP/1.1\r\n{fields}").as_bytes()).await;
                raw.answer().await
            };
            assert!(answer.ends_with(&path), "{media_type} {length}: {answer}");
        }
    }
    assert_eq!(connections(&recorder), [1; 9]);
    for request in recorder.requests() {
        assert!(request.all("transfer-encoding").is_empty() && request.body.is_empty(), "{}", request.head);
    }
    // The octets that went up are heads and nothing else.
    let octets = String::from_utf8(recorder.bytes()).unwrap();
    assert_eq!(octets.matches("\r\n\r\n").count(), 9);
    assert!(octets.ends_with("\r\n\r\n") && octets.split("\r\n\r\n").take(9).all(|head| head.starts_with("GET ")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_relayed_ends_for_the_visitor_by_any_version() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = TestGateway::start(Options::plain(nobody)).await;
    for method in ["HEAD", "GET"] {
        assert_eq!(status_of(&get(&gateway, method, "/public/x").await), 502);
        let over_http2 = gateway.client_builder().http2_prior_knowledge().build().unwrap();
        let url = format!("{}/public/x", gateway.origin());
        let answer = over_http2.request(method.parse().unwrap(), url).send().await.unwrap();
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.text().await.unwrap().is_empty(), method == "HEAD");
    }
}

/// An upstream that closes each connection after its answer.
async fn closing(answer: impl Fn(&str) -> &'static str + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = head(&mut stream).await;
            stream.write_all(answer(head.split(' ').nth(1).unwrap()).as_bytes()).await.unwrap();
        }
    });
    address
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_breaks_off_at_the_visitor() {
    let address = closing(|target| match target {
        "/public/length" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "/public/chunk" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        _ => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nZZ\r\n",
    })
    .await;
    let gateway = TestGateway::start(Options::plain(address)).await;
    for path in ["length", "chunk", "odd"] {
        let mut raw = gateway.raw().await;
        raw.send(format!("GET /public/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        // So little may not have left before the end was known.
        let answer = raw.rest().await;
        assert!(answer.is_empty() || status_of(&answer) == 200, "{path}: {answer}");
        assert!(!answer.contains("\r\n0\r\n"), "{path}: taken for whole: {answer}");
        let over_http2 = gateway.client_builder().http2_prior_knowledge().build().unwrap();
        let answer = over_http2.get(format!("{}/public/{path}", gateway.origin())).send().await.unwrap();
        let broken_off = answer.text().await.expect_err("taken for whole");
        assert!(!broken_off.is_timeout(), "{path}: {broken_off}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_can_read_leaves_no_connection_behind() {
    let recorder = Recorder::start(Answer::new(|request, _| match request.target() {
        "/public/odd" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nZZ\r\n".to_vec(),
        "/public/unasked" => b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n".to_vec(),
        "/public/two" => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        target => http(200, "", target.as_bytes()),
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    for (path, status) in [("odd", 200), ("unasked", 502), ("two", 502)] {
        let answer = get(&gateway, "GET", &format!("/public/{path}")).await;
        assert_eq!(status_of(&answer), status, "{path}: {answer}");
        let before = recorder.count();
        let next = get(&gateway, "GET", "/public/next").await;
        assert!(next.ends_with("/public/next"), "{next}");
        let used = connections(&recorder);
        assert!(used[before] > used[before - 1], "{path}: its connection was used again");
    }
}

/// An upstream that gives the head of an answer and one octet of its body, then nothing. It tells how many have come, and ended.
async fn never_ending() -> (SocketAddr, watch::Receiver<usize>, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (came, has_come) = watch::channel(0);
    let (ended, has_ended) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (came, ended) = (came.clone(), ended.clone());
            tokio::spawn(async move {
                if head(&mut stream).await.contains("/body") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n.").await.unwrap();
                }
                came.send_modify(|count| *count += 1);
                assert!(closes(&mut stream).await);
                ended.send_modify(|count| *count += 1);
            });
        }
    });
    (address, has_come, has_ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_ends_what_the_upstream_does_for_them() {
    let (address, mut came, mut ended) = never_ending().await;
    let gateway = TestGateway::start(Options::plain(address)).await;
    let mut count = 0;
    for path in ["/public/head", "/public/body"] {
        let mut raw = gateway.raw().await;
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        count += 1;
        came.wait_for(|come| *come == count).await.unwrap();
        drop(raw);
        ended.wait_for(|gone| *gone == count).await.unwrap();

        let mut frames = Frames::open(&gateway).await;
        let head = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)];
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(&head)).await;
        count += 1;
        came.wait_for(|come| *come == count).await.unwrap();
        frames.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes()).await;
        ended.wait_for(|gone| *gone == count).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_comes_in_chunks_and_leaves_the_visitors_connection_open() {
    let address = closing(|target| match target {
        "/public/old" => "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        _ => "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    })
    .await;
    let gateway = TestGateway::start(Options::plain(address)).await;
    let mut raw = gateway.raw().await;
    for path in ["new", "old", "new", "old"] {
        raw.send(format!("GET /public/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await;
        let answer = raw.until("0\r\n\r\n").await;
        let lower = answer.to_lowercase();
        assert!(lower.starts_with("http/1.1 200") && lower.contains("transfer-encoding: chunked"), "{answer}");
        assert!(answer.contains("until the end"), "{answer}");
    }
    // HTTP/1.0 knows no chunks.
    let mut raw = gateway.raw().await;
    raw.send(b"GET /public/x HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    assert!(raw.rest().await.ends_with("\r\n\r\nuntil the end"));
}

/// As `streams::a_kept_upstream_connection_never_mixes_two_people`, by requests without a body.
#[tokio::test(flavor = "multi_thread")]
async fn d11_two_people_never_see_each_others_answers_by_one_connection() {
    let recorder = Recorder::start(Answer::new(|request, _| {
        let said = format!("{} {}", request.all("x-who").join("+"), request.target());
        http(200, "Content-Type: text/plain\r\n", said.as_bytes())
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let mut people = tokio::task::JoinSet::new();
    let turns = Arc::new(Semaphore::new(2));
    let left = Arc::new(AtomicUsize::new(0));
    for (person, http2) in [("ana", false), ("ben", true), ("ana", true), ("ben", false)] {
        let browser = gateway.client();
        let session = gateway.sign_in(&browser, person).await;
        let client = if http2 { gateway.client_builder().http2_prior_knowledge().build().unwrap() } else { browser };
        let (origin, turns, left) = (gateway.origin(), Arc::clone(&turns), Arc::clone(&left));
        people.spawn(async move {
            for n in 0..50 {
                let _turn = turns.acquire().await.unwrap();
                let target = format!("/private/{person}/{n}");
                let request = client.get(format!("{origin}{target}")).header("x-who", person);
                let request = request.header("cookie", format!("__Host-vestibule={session}"));
                if n % 7 == 3 {
                    // Gone in the middle, at any moment of it.
                    let time = std::time::Duration::from_micros(n * 50);
                    let _ = tokio::time::timeout(time, request.send()).await;
                    left.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let answer = request.send().await.unwrap().text().await.unwrap();
                assert_eq!(answer, format!("{person} {target}"));
            }
        });
    }
    while let Some(person) = people.join_next().await {
        person.unwrap();
    }
    assert_eq!(left.load(Ordering::Relaxed), 28);
    let used: BTreeSet<usize> = connections(&recorder).into_iter().collect();
    assert!(used.len() <= 2 + 28, "{} connections: they were not used again", used.len());
    for request in recorder.requests() {
        let person = request.all("x-who")[0].to_owned();
        assert!(request.target().starts_with(&format!("/private/{person}/")), "{}", request.head);
        assert!(!request.head.contains("vestibule"), "{}", request.head);
    }
}
