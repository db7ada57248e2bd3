//! An upstream that logs every byte it receives, and answers each request with a fixed text.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the recorder answers. `{n}` is the number of the request.
#[derive(Clone)]
pub struct Answer(Arc<MakeAnswer>);

type MakeAnswer = dyn Fn(&Request, usize) -> Vec<u8> + Send + Sync;

impl Answer {
    pub fn new(answer: impl Fn(&Request, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::new(|request, n| {
            http(200, "Content-Type: text/plain\r\n", format!("{n} {}", request.target()).as_bytes())
        })
    }
}

/// An HTTP/1.1 answer.
pub fn http(status: u16, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status} Test\r\nContent-Length: {}\r\n{fields}\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
    pub connection: usize,
}

impl Request {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn method(&self) -> &str {
        self.line().split(' ').next().unwrap()
    }

    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap()
    }

    /// All values of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}

#[derive(Default)]
struct Log {
    requests: Vec<Request>,
    bytes: Vec<u8>,
    connections: usize,
}

/// The recorder.
pub struct Recorder {
    pub address: SocketAddr,
    log: Arc<Mutex<Log>>,
    changed: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<()>,
}

impl Recorder {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let (tell, changed) = watch::channel(0);
        let shared = Arc::clone(&log);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = {
                    let mut log = shared.lock().unwrap();
                    log.connections += 1;
                    log.connections
                };
                tokio::spawn(serve(stream, connection, Arc::clone(&shared), tell.clone(), answer.clone()));
            }
        });
        Self { address, log, changed, task }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().requests.clone()
    }

    /// How many requests there were.
    pub fn count(&self) -> usize {
        *self.changed.borrow()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.log.lock().unwrap().bytes.clone()
    }

    pub async fn wait_for(&self, count: usize) {
        let mut changed = self.changed.clone();
        changed.wait_for(|seen| *seen >= count).await.unwrap();
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    log: Arc<Mutex<Log>>,
    tell: watch::Sender<usize>,
    answer: Answer,
) {
    let mut held = Vec::new();
    loop {
        let Some(end) = find(&held, b"\r\n\r\n") else {
            if !read(&mut stream, &mut held, &log).await {
                return;
            }
            continue;
        };
        let head = String::from_utf8_lossy(&held[..end]).into_owned();
        held.drain(..end + 4);
        let mut request = Request { head, body: Vec::new(), connection };
        if request.all("transfer-encoding").iter().any(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                if let Some((body, used)) = chunks(&held) {
                    request.body = body;
                    held.drain(..used);
                    break;
                }
                if !read(&mut stream, &mut held, &log).await {
                    return;
                }
            }
        } else if let Some(length) = request.all("content-length").first() {
            let length: usize = length.parse().unwrap();
            while held.len() < length {
                if !read(&mut stream, &mut held, &log).await {
                    return;
                }
            }
            request.body = held.drain(..length).collect();
        }
        let n = {
            let mut log = log.lock().unwrap();
            log.requests.push(request.clone());
            log.requests.len()
        };
        let bytes = (answer.0)(&request, n);
        let _ = tell.send(n);
        if bytes.is_empty() || stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, held: &mut Vec<u8>, log: &Mutex<Log>) -> bool {
    let mut chunk = vec![0; 64 * 1024];
    match stream.read(&mut chunk).await {
        Ok(0) | Err(_) => false,
        Ok(n) => {
            held.extend_from_slice(&chunk[..n]);
            let mut log = log.lock().unwrap();
            if log.bytes.len() < 4 * 1024 * 1024 {
                log.bytes.extend_from_slice(&chunk[..n]);
            }
            true
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The decoded body and how many bytes it took, once it is complete. Trailers are part of what it took.
fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).unwrap().trim(), 16).unwrap();
        at += line + 2;
        if size == 0 {
            let end = find(&bytes[at - 2..], b"\r\n\r\n")?;
            return Some((body, at + end + 2));
        }
        body.extend_from_slice(bytes.get(at..at + size)?);
        at += size + 2;
        if bytes.len() < at {
            return None;
        }
    }
}
