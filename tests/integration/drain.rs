//! Draining: what is in flight finishes, nothing new begins, and nobody idle holds it up.

use std::time::Duration;

use tokio::net::TcpStream;
use vestibule::clock::Stopwatch;

use crate::frames::Frames;
use crate::harness::{Options, TestGateway, closes, eventually};
use crate::recorder::{Answer, Recorder, http};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drain_lets_requests_finish_and_takes_no_more() {
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let answer = Answer::new(move |request, _| {
        if request.target() == "/public/held" {
            tokio::task::block_in_place(|| gate.lock().unwrap().recv().ok());
        }
        http(200, "", b"finished")
    });
    let recorder = Recorder::start(answer).await;
    let mut options = Options::plain(recorder.address);
    options.listen = "  limits: { drain: 20s, idle_time: 60m }\n".into();
    let gateway = TestGateway::start(options).await;
    let (https, http) = (gateway.app.https_address(), gateway.app.http_address().unwrap());
    let admin = format!("http://{}/readyz", gateway.app.admin_address().unwrap());

    let mut kept = gateway.raw().await;
    assert_eq!(kept.status(b"GET /public/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await, 200);
    let mut answered = gateway.raw().await;
    assert_eq!(answered.status(b"GET /private/a HTTP/1.1\r\nHost: localhost\r\n\r\n").await, 401);
    let mut fresh = gateway.tls(&[b"http/1.1"]).await;
    let mut plain = TcpStream::connect(http).await.unwrap();
    let mut http2 = Frames::open(&gateway).await;
    assert_eq!(gateway.client().get(&admin).send().await.unwrap().status(), 200);

    let held = tokio::spawn({
        let (client, url) = (gateway.client(), format!("{}/public/held", gateway.origin()));
        async move { client.get(url).send().await.unwrap().text().await.unwrap() }
    });
    recorder.wait_for(1).await;
    eventually("the request is in flight", || recorder.requests().iter().any(|r| r.target() == "/public/held")).await;

    let watch = Stopwatch::start();
    let TestGateway { app, folder: _folder, .. } = gateway;
    let draining = tokio::spawn(app.drain());
    assert!(kept.rest().await.is_empty(), "a kept connection is closed");
    assert!(answered.rest().await.is_empty(), "so is one that we answered ourselves");
    assert!(closes(&mut fresh).await, "so is one without a request");
    assert!(closes(&mut plain).await, "so is a plain one");
    // An HTTP/2 peer is told to go; one that does not listen is not waited for without end.
    assert!(http2.ended(u32::MAX >> 1).await != crate::frames::Ended::Closed);
    drop(http2);
    for address in [https, http] {
        assert!(TcpStream::connect(address).await.is_err(), "{address}");
    }
    let watcher = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    let ready = watcher.get(&admin).send().await.unwrap();
    assert_eq!((ready.status().as_u16(), ready.text().await.unwrap().as_str()), (503, "draining\n"));
    assert!(!draining.is_finished(), "the request is still waited for");
    open.send(()).unwrap();
    assert_eq!(held.await.unwrap(), "finished");
    assert!(draining.await.unwrap(), "all finished");
    assert!(watch.elapsed() < Duration::from_secs(15), "nobody idle was waited for: {:?}", watch.elapsed());
    assert!(watcher.get(&admin).send().await.is_err(), "the admin side is closed last");
}
