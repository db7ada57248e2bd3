//! Connections to upstreams that we hold ourselves, beside those of Pingora: for tunnels, and for requests that are relayed.
//!
//! Those that wait for the next request by HTTP/1.1 without TLS are kept here. Pingora's pool gives each a task of its own that
//! waits for its end, and ends that task when the connection is taken: with a task made and woken for each request, that
//! was an eighth of all that a request cost. Here a connection is looked at when it is taken, and all of them once a second.

use std::cell::Cell;
use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, TryLockError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use pingora::Result;
use pingora::connectors::http::v1::Connector;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::MissedTickBehavior;

/// How many wait in each compartment.
const MOST_OF_EACH: usize = 64;

/// So many that threads seldom meet in one.
const COMPARTMENTS: usize = 8;

/// How often those are looked at that wait; their time is counted in this.
const PERIOD: Duration = Duration::from_secs(1);

/// Connections to upstreams, of all portals.
pub struct Connections {
    /// Made for the first of them: it reads the system's authorities.
    connector: LazyLock<Connector>,
    /// Newest last. Nobody waits for a compartment: who finds it taken goes to the next.
    waiting: [Mutex<Vec<Waiting>>; COMPARTMENTS],
    /// Periods so far. Wraps.
    now: AtomicU32,
}

/// A connection that waits.
struct Waiting {
    node: SocketAddr,
    stream: Stream,
    /// The period in which it began.
    since: u32,
    /// The periods after that in which it is still used.
    lasts: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self { connector: LazyLock::new(|| Connector::new(None)), waiting: Default::default(), now: AtomicU32::new(0) }
    }
}

impl Connections {
    /// Opens one, by HTTP/1.1.
    ///
    /// # Errors
    /// When `peer` is not to be had, or not to be trusted.
    pub(super) async fn open(&self, peer: &HttpPeer) -> Result<HttpSession> {
        self.connector.get_http_session(peer).await.map(|(opened, _)| opened)
    }

    /// The one to `node` that has waited least, in this thread's compartment first. None that was closed, or on which something
    /// came that nobody has asked for.
    pub(super) fn take(&self, node: SocketAddr) -> Option<HttpSession> {
        for compartment in self.mine_first() {
            let Some(mut waiting) = enter(compartment) else { continue };
            let now = self.now.load(Ordering::Relaxed);
            while let Some(at) = waiting.iter().rposition(|one| one.node == node) {
                let mut one = waiting.remove(at);
                if one.is_of_use(now) {
                    return Some(HttpSession::new(one.stream));
                }
            }
        }
        None
    }

    /// Keeps the connection to `node` by which an answer has come whole, for `idle_time` at most, if both sides want that. Where
    /// there is no room, the one that has waited longest makes it.
    pub(super) fn keep(&self, node: SocketAddr, mut answered: HttpSession, idle_time: Duration) {
        answered.respect_keepalive();
        // To give a connection back takes no time; one that is not to be used again is closed, without waiting for its end.
        let Some(Some(stream)) = answered.reuse().now_or_never() else { return };
        let now = self.now.load(Ordering::Relaxed);
        // A whole number of periods that ends before the time does, as the one that runs has begun before.
        let periods = idle_time.as_secs().checked_div(PERIOD.as_secs()).unwrap_or(0);
        let lasts = u32::try_from(periods).unwrap_or(u32::MAX >> 1).saturating_sub(1);
        let mut one = Waiting { node, stream, since: now, lasts };
        if !one.is_of_use(now) {
            return;
        }
        for compartment in self.mine_first() {
            let Some(mut waiting) = enter(compartment) else { continue };
            if waiting.len() < MOST_OF_EACH {
                waiting.push(one);
                return;
            }
        }
        let Some(mut waiting) = self.mine_first().next().and_then(enter) else { return };
        let longest = (!waiting.is_empty()).then(|| waiting.remove(0));
        waiting.push(one);
        drop(waiting);
        drop(longest);
    }

    /// Closes those whose time is over and those that were closed at the other end, once a period, as long as there is anybody
    /// who uses `connections`.
    pub async fn look_after(connections: Weak<Self>) {
        let mut periods = tokio::time::interval(PERIOD);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            periods.tick().await;
            let Some(connections) = connections.upgrade() else { return };
            connections.next_period();
        }
    }

    fn next_period(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        for compartment in &self.waiting {
            let Some(mut waiting) = enter(compartment) else { continue };
            let over: Vec<Waiting> = waiting.extract_if(.., |one| !one.is_of_use(now)).collect();
            drop(waiting);
            drop(over); // closed when nobody is kept out by it
        }
    }

    fn mine_first(&self) -> impl Iterator<Item = &Mutex<Vec<Waiting>>> {
        let (before, from) = self.waiting.split_at(compartment_of_this_thread());
        from.iter().chain(before)
    }
}

impl Waiting {
    /// Whether its time is not over, and it has stood still: nothing came, not even its end.
    fn is_of_use(&mut self, now: u32) -> bool {
        if now.wrapping_sub(self.since) > self.lasts {
            return false;
        }
        let mut octet = [0];
        let mut read = ReadBuf::new(&mut octet);
        let look = std::future::poll_fn(|context| Pin::new(&mut self.stream).poll_read(context, &mut read));
        // A task that has done much is told to wait before anybody looks: that would pass for a connection that stands still.
        let look = pin!(tokio::task::unconstrained(look));
        look.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

/// The compartment, unless somebody is in it.
fn enter(compartment: &Mutex<Vec<Waiting>>) -> Option<MutexGuard<'_, Vec<Waiting>>> {
    match compartment.try_lock() {
        Ok(waiting) => Some(waiting),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Threads take turns.
fn compartment_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    MINE.with(|mine| {
        mine.get().unwrap_or_else(|| {
            let new = NEXT.fetch_add(1, Ordering::Relaxed) % COMPARTMENTS;
            mine.set(Some(new));
            new
        })
    })
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use pingora::http::RequestHeader;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Node {
        listener: TcpListener,
        address: SocketAddr,
    }

    impl Node {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            Self { listener, address }
        }

        /// A connection by which `answer` has come, and its other end.
        async fn answered(&self, connections: &Connections, answer: &str) -> (HttpSession, TcpStream) {
            let peer = HttpPeer::new(self.address, false, String::new());
            let mut opened = connections.open(&peer).await.unwrap();
            let (mut other_end, _) = self.listener.accept().await.unwrap();
            let head = RequestHeader::build("GET", b"/", None).unwrap();
            opened.write_request_header(Box::new(head)).await.unwrap();
            let mut octets = [0; 1024];
            assert!(other_end.read(&mut octets).await.unwrap() > 0);
            other_end.write_all(answer.as_bytes()).await.unwrap();
            opened.read_response().await.unwrap();
            while opened.read_body_bytes().await.unwrap().is_some() {}
            (opened, other_end)
        }

        async fn keep(&self, connections: &Connections, idle_time: Duration) -> (SocketAddr, TcpStream) {
            let (answered, other_end) = self.answered(connections, "HTTP/1.1 204 No Content\r\n\r\n").await;
            connections.keep(self.address, answered, idle_time);
            (other_end.peer_addr().unwrap(), other_end)
        }
    }

    fn ours(taken: Option<HttpSession>) -> Option<SocketAddr> {
        taken.and_then(|taken| taken.client_addr().and_then(|address| address.as_inet().copied()))
    }

    fn count(connections: &Connections) -> usize {
        connections.waiting.iter().map(|waiting| waiting.lock().unwrap().len()).sum()
    }

    #[tokio::test]
    async fn the_one_that_waited_least_is_taken_and_none_twice_or_for_another_node() {
        let (connections, one, other) = (Connections::default(), Node::start().await, Node::start().await);
        let (first, _first) = one.keep(&connections, MINUTE).await;
        let (second, _second) = {
            // Both at once, so that the first is not used for the second.
            let taken = connections.take(one.address);
            assert_eq!(ours(taken), Some(first));
            assert_eq!(count(&connections), 0);
            one.keep(&connections, MINUTE).await
        };
        let (third, _third) = other.keep(&connections, MINUTE).await;
        let (fourth, _fourth) = one.keep(&connections, MINUTE).await;
        assert_eq!(ours(connections.take(one.address)), Some(fourth));
        assert_eq!(ours(connections.take(one.address)), Some(second));
        assert!(connections.take(one.address).is_none());
        assert_eq!(ours(connections.take(other.address)), Some(third));
    }

    #[tokio::test]
    async fn what_was_closed_or_has_spoken_is_used_for_nobody() {
        let (connections, node) = (Connections::default(), Node::start().await);
        let (_, other_end) = node.keep(&connections, MINUTE).await;
        drop(other_end);
        let (_, mut other_end) = node.keep(&connections, MINUTE).await;
        other_end.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        // Known as soon as the system tells it.
        tokio::time::timeout(MINUTE, async {
            while count(&connections) > 0 {
                connections.next_period();
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        assert!(connections.take(node.address).is_none());
    }

    #[tokio::test]
    async fn only_what_was_answered_whole_is_kept_and_no_more_than_there_is_room_for() {
        let (connections, node) = (Connections::default(), Node::start().await);
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            let (answered, mut other_end) = node.answered(&connections, answer).await;
            connections.keep(node.address, answered, MINUTE);
            assert_eq!(count(&connections), 0, "{answer}");
            let ends = tokio::time::timeout(MINUTE, other_end.read_to_end(&mut Vec::new())).await;
            assert!(ends.is_ok(), "the node keeps a connection that nobody uses: {answer}");
        }
        let mut other_ends = Vec::new();
        for _ in 0..MOST_OF_EACH * COMPARTMENTS + 3 {
            other_ends.push(node.keep(&connections, MINUTE).await.1);
        }
        assert_eq!(count(&connections), MOST_OF_EACH * COMPARTMENTS);
        let (newest, _end) = node.keep(&connections, MINUTE).await;
        assert_eq!(ours(connections.take(node.address)), Some(newest), "the newest is not the one without room");
    }

    #[tokio::test]
    async fn who_waits_for_one_node_makes_room_for_another() {
        let (connections, busy, other) = (Connections::default(), Node::start().await, Node::start().await);
        let mut other_ends = Vec::new();
        for _ in 0..MOST_OF_EACH * COMPARTMENTS {
            other_ends.push(busy.keep(&connections, MINUTE).await.1);
        }
        let (kept, _end) = other.keep(&connections, MINUTE).await;
        assert_eq!(count(&connections), MOST_OF_EACH * COMPARTMENTS);
        assert_eq!(ours(connections.take(other.address)), Some(kept));
        assert!(connections.take(other.address).is_none());
        assert!(connections.take(busy.address).is_some());
    }

    #[tokio::test]
    async fn a_task_that_has_done_much_looks_all_the_same() {
        let (connections, node) = (Connections::default(), Node::start().await);
        let (_, other_end) = node.keep(&connections, MINUTE).await;
        drop(other_end);
        let is_known = || {
            connections.waiting.iter().all(|waiting| waiting.lock().unwrap().iter_mut().all(|one| !one.is_of_use(0)))
        };
        while !is_known() {
            tokio::task::yield_now().await;
        }
        let taken = std::future::poll_fn(|context| {
            // Until this task is told to wait.
            while pin!(tokio::task::coop::consume_budget()).poll(context).is_ready() {}
            Poll::Ready(connections.take(node.address))
        });
        assert!(taken.await.is_none(), "it was closed");
    }

    #[tokio::test]
    async fn none_is_kept_longer_than_it_may_be() {
        let (connections, node) = (Connections::default(), Node::start().await);
        connections.now.store(u32::MAX - 1, Ordering::Relaxed);
        let (_, _end) = node.keep(&connections, Duration::from_secs(4)).await;
        for period in 1..=3 {
            connections.next_period();
            assert_eq!(count(&connections), 1, "after {period} periods, of which the first had begun before");
        }
        connections.next_period();
        assert_eq!(count(&connections), 0);
        let (_, _end) = node.keep(&connections, Duration::ZERO).await;
        connections.next_period();
        assert!(connections.take(node.address).is_none());
    }

    #[tokio::test]
    async fn nobody_waits_for_a_compartment() {
        let (connections, node) = (Connections::default(), Node::start().await);
        let held: Vec<_> = connections.waiting.iter().map(|waiting| waiting.lock().unwrap()).collect();
        let (_, mut other_end) = node.keep(&connections, MINUTE).await;
        assert!(connections.take(node.address).is_none());
        connections.next_period();
        drop(held);
        assert_eq!(count(&connections), 0);
        assert_eq!(other_end.read(&mut [0; 1]).await.unwrap(), 0, "where there is no room, it is closed");
    }
}
