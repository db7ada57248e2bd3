//! Where log lines wait to be written, so that no request waits for a disk or a pipe.
//!
//! A line is copied into one buffer; a thread of its own writes what has gathered, every [`PAUSE`], in one piece. When the
//! reader of standard output does not keep up, memory stays bounded: further lines are left out, counted
//! (`vestibule_log_lines_dropped_total`) and told of by a line of their own once there is room.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// How long lines gather. What a killed process had not written yet is no older than this.
const PAUSE: Duration = Duration::from_millis(50);

/// Octets that a buffer keeps room for: what gathers in a pause of a busy gateway. To grow anew costs the system's pages each time.
const USUAL: usize = 1024 * 1024;

/// Octets that may wait.
const LARGEST: usize = 8 * 1024 * 1024;

/// Takes log lines. Clones share one buffer.
#[derive(Clone, Debug)]
pub struct Sink(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    dropped: OnceLock<IntCounter>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    dropped: u64,
    closing: bool,
}

/// Writes what is left when it is dropped.
#[derive(Debug)]
pub struct Flushed {
    sink: Sink,
    writing: Option<JoinHandle<()>>,
}

impl Sink {
    /// A sink whose lines end up in `out`, until the other value is dropped.
    pub fn start(out: impl Write + Send + 'static) -> (Self, Flushed) {
        let sink = Self(Arc::default());
        let shared = Arc::clone(&sink.0);
        let writing = std::thread::Builder::new().name("log".into()).spawn(move || shared.write_to(out)).ok();
        (sink.clone(), Flushed { sink, writing })
    }

    /// Takes a whole line, with its end.
    pub fn take(&self, line: &[u8]) {
        self.0.take(line);
    }

    /// Counts lines that are left out from now on.
    pub fn count_dropped(&self, counter: IntCounter) {
        let _ = self.0.dropped.set(counter);
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.lines.len().saturating_add(line.len()) > LARGEST {
            waiting.dropped = waiting.dropped.saturating_add(1);
            drop(waiting);
            if let Some(counter) = self.dropped.get() {
                counter.inc();
            }
            return;
        }
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if first {
            self.arrived.notify_one();
        }
    }

    /// Writes until told to stop and nothing is left.
    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        loop {
            let guard = self.waiting();
            let waited = self.arrived.wait_while(guard, |waiting| waiting.lines.is_empty() && !waiting.closing);
            let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
            if !waiting.closing {
                let paused = self.arrived.wait_timeout_while(waiting, PAUSE, |waiting| !waiting.closing);
                waiting = paused.unwrap_or_else(PoisonError::into_inner).0;
            }
            std::mem::swap(&mut waiting.lines, &mut lines);
            let (dropped, closing) = (std::mem::take(&mut waiting.dropped), waiting.closing);
            drop(waiting);
            // Nobody is left who could be told of a failure.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
            lines.clear();
            lines.shrink_to(USUAL);
            if dropped > 0 {
                tracing::error!(dropped, "log lines were left out: whoever reads standard output does not keep up");
            }
            if closing && dropped == 0 {
                return;
            }
        }
    }
}

impl Drop for Flushed {
    fn drop(&mut self) {
        self.sink.0.waiting().closing = true;
        self.sink.0.arrived.notify_one();
        if let Some(writing) = self.writing.take() {
            let _ = writing.join();
        }
    }
}

impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line is written in one piece: two threads never mix theirs.
impl<'a> MakeWriter<'a> for Sink {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Gives each piece that is written to a channel, and waits at the door while there is one.
    struct Pieces {
        told: mpsc::Sender<Vec<u8>>,
        door: Option<mpsc::Receiver<()>>,
    }

    impl Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.told.send(piece.to_vec()).unwrap();
            if let Some(door) = &self.door {
                let _ = door.recv();
            }
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_gather_and_are_all_written_at_the_end() {
        let (told, pieces) = mpsc::channel();
        let (sink, flushed) = Sink::start(Pieces { told, door: None });
        for number in 0..1_000 {
            (&sink).write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        drop(flushed);
        let pieces: Vec<Vec<u8>> = pieces.iter().collect();
        let text = String::from_utf8(pieces.concat()).unwrap();
        assert!(text.lines().map(str::to_owned).eq((0..1_000).map(|number| format!("line {number}"))));
        assert!(pieces.len() < 100, "{} pieces", pieces.len());
    }

    #[test]
    fn a_reader_that_does_not_keep_up_costs_lines_and_not_memory() {
        let (told, pieces) = mpsc::channel();
        let (open, door) = mpsc::channel();
        let (sink, flushed) = Sink::start(Pieces { told, door: Some(door) });
        let counter = IntCounter::new("dropped", "dropped").unwrap();
        sink.count_dropped(counter.clone());
        (&sink).write_all(b"first\n").unwrap();
        assert_eq!(pieces.recv().unwrap(), b"first\n");
        // The thread now waits at the door.
        let line = [b'x'; 1024];
        for _ in 0..10_000 {
            (&sink).write_all(&line).unwrap();
        }
        assert_eq!(sink.0.waiting().lines.len(), LARGEST);
        assert_eq!(counter.get(), 10_000 - 8 * 1024);
        drop(open);
        drop(flushed);
        assert_eq!(pieces.iter().map(|piece| piece.len()).sum::<usize>(), LARGEST);
    }
}
