//! Entity tags, conditions and parts of bodies that are rewritten, and of others.

use reqwest::Method;

use super::{Stage, field};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_the_browser_has_is_not_sent_again() {
    let stage = Stage::new("").await;
    let browser = stage.browser().await;
    for tag in ["\"abc\"", "W/\"abc\"", "\"a,b\""] {
        stage.says_text(&format!("Content-Type: text/html\r\nETag: {tag}\r\n"), "<p>http://{host}/");
        let first = stage.get(&[]).await;
        let ours = field(&first, "etag").unwrap().to_owned();
        assert!(ours.starts_with("W/\"") && ours != tag, "{ours}");
        // The upstream compares letters: it sees its own tag again.
        stage.says(304, &format!("ETag: {tag}\r\n"), "");
        let again = stage.get(&[("if-none-match", &ours)]).await;
        assert_eq!(stage.recorder.requests().pop().unwrap().all("if-none-match"), [tag]);
        assert_eq!((again.status().as_u16(), field(&again, "etag")), (304, Some(ours.as_str())));
        assert_eq!(field(&again, "vary"), Some("Accept-Encoding"));
        let list = format!("\"other\", {ours}");
        stage.get(&[("if-none-match", &list)]).await;
        assert_eq!(stage.recorder.requests().pop().unwrap().all("if-none-match"), [format!("\"other\", {tag}")]);
        // So does a change that only the known version may get.
        stage.write(&browser, Method::PUT, &[("if-match", &ours)], "x").await;
        assert_eq!(stage.recorder.requests().pop().unwrap().all("if-match"), [tag]);
    }
    // A tag of something that was not rewritten stays as it is, both ways.
    stage.says(304, "ETag: \"1\"\r\n", "");
    let other = stage.get(&[("if-none-match", "\"1\"")]).await;
    assert_eq!((field(&other, "etag"), field(&other, "vary")), (Some("\"1\""), None));
    assert_eq!(stage.recorder.requests().pop().unwrap().all("if-none-match"), ["\"1\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_of_what_passes_untouched() {
    let stage = Stage::new("").await;
    stage.says(206, "Content-Type: application/pdf\r\nContent-Range: bytes 0-3/10\r\nETag: \"1\"\r\n", "%PDF");
    let part = stage.get(&[("range", "bytes=0-3"), ("if-range", "\"1\"")]).await;
    let request = stage.recorder.requests().pop().unwrap();
    assert_eq!((request.all("range"), request.all("if-range")), (vec!["bytes=0-3"], vec!["\"1\""]));
    assert_eq!((part.status().as_u16(), field(&part, "content-length")), (206, Some("4")));
    assert_eq!(field(&part, "content-range"), Some("bytes 0-3/10"));
    assert_eq!(field(&part, "etag"), Some("\"1\""));
    assert_eq!(part.text().await.unwrap(), "%PDF");
    // Several parts at once are not asked for: the whole is an answer, too.
    stage.get(&[("range", "bytes=0-3, 5-6")]).await;
    assert!(stage.recorder.requests().pop().unwrap().all("range").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_rewritten_the_whole_is_sent() {
    use crate::harness::{Options, TestGateway};
    use crate::recorder::{Answer, Recorder, http};
    let recorder = Recorder::start(Answer::new(|request, _| {
        let page = format!("<p>http://{}/</p>", request.all("host")[0]);
        if request.all("range").is_empty() {
            return http(200, "Content-Type: text/html\r\nETag: \"1\"\r\n", page.as_bytes());
        }
        let fields = format!("Content-Type: text/html\r\nETag: \"1\"\r\nContent-Range: bytes 0-3/{}\r\n", page.len());
        http(206, &fields, &page.as_bytes()[..4])
    }))
    .await;
    let gateway = TestGateway::start(Options::plain(recorder.address)).await;
    let url = format!("{}/public/x", gateway.origin());
    let whole = format!("<p>{}/</p>", gateway.origin());
    let answer = gateway.client().get(&url).header("range", "bytes=0-3").send().await.unwrap();
    let tag = field(&answer, "etag").unwrap().to_owned();
    assert_eq!((answer.status().as_u16(), field(&answer, "content-range")), (200, None));
    assert_eq!(answer.text().await.unwrap(), whole);
    assert_eq!(recorder.requests().len(), 2, "asked again, without the range");
    // Who comes with our tag is known to have something that was rewritten.
    let again = gateway.client().get(&url).header("range", "bytes=4-").header("if-range", &tag).send().await.unwrap();
    assert_eq!((again.status().as_u16(), again.text().await.unwrap()), (200, whole));
    assert_eq!(recorder.requests().len(), 3);
    let head = gateway.client().head(&url).send().await.unwrap();
    assert_eq!((field(&head, "etag"), field(&head, "accept-ranges")), (Some(tag.as_str()), Some("none")));
}
