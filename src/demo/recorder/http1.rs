//! Reads HTTP/1.1 requests out of a connection's bytes (RFC 9112), for the record only: it decides nothing, and gives
//! up quietly on what it cannot read. The raw bytes are kept in any case.

use super::{ConnectionTap, RecordedRequest, RequestNumber};

/// The longest line or head that is waited for.
const LONGEST_HEAD: usize = 1024 * 1024;

/// Where in the stream of requests a connection is.
#[derive(Default)]
pub(super) struct Reader {
    pending: Vec<u8>,
    state: State,
}

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Head,
    Counted(RequestNumber, u64),
    ChunkSize(RequestNumber),
    Chunk(RequestNumber, u64),
    ChunkEnd(RequestNumber),
    Trailers(RequestNumber),
    /// HTTP/2, an upgraded connection, or not HTTP at all.
    Unread,
}

impl Reader {
    /// Takes the next bytes of the connection.
    pub(super) fn read(&mut self, tap: &ConnectionTap, fresh: &[u8]) {
        if matches!(self.state, State::Unread) {
            return;
        }
        self.pending.extend_from_slice(fresh);
        while let Some(next) = self.step(tap) {
            self.state = next;
        }
        if self.pending.len() > LONGEST_HEAD {
            self.state = State::Unread;
        }
        if matches!(self.state, State::Unread) {
            self.pending = Vec::new();
        }
    }

    /// One step through what is pending; `None` when more has to arrive first.
    fn step(&mut self, tap: &ConnectionTap) -> Option<State> {
        match self.state {
            State::Unread => None,
            State::Head => {
                if self.pending.starts_with(b"\r\n") {
                    self.take(2); // an empty line before a request is allowed (RFC 9112, 2.2)
                    return Some(State::Head);
                }
                if self.pending.is_empty() {
                    return None;
                }
                let end = memchr::memmem::find(&self.pending, b"\r\n\r\n")?;
                let head = self.take(end.saturating_add(4));
                Some(parse_head(tap, &head).unwrap_or(State::Unread))
            }
            State::Counted(number, 0) => {
                tap.recorder.amend(number, |request| request.complete = true);
                Some(State::Head)
            }
            State::Counted(number, left) => self.body(tap, number, left).map(|left| State::Counted(number, left)),
            State::ChunkSize(number) => {
                let line = self.line()?;
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let size = std::str::from_utf8(digits).ok().and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
                Some(match size {
                    Some(0) => State::Trailers(number),
                    Some(size) => State::Chunk(number, size),
                    None => State::Unread,
                })
            }
            State::Chunk(number, 0) => Some(State::ChunkEnd(number)),
            State::Chunk(number, left) => self.body(tap, number, left).map(|left| State::Chunk(number, left)),
            State::ChunkEnd(number) => self.line().map(|_| State::ChunkSize(number)),
            State::Trailers(number) => {
                let line = self.line()?;
                if line.is_empty() {
                    tap.recorder.amend(number, |request| request.complete = true);
                    return Some(State::Head);
                }
                if let Some(field) = parse_field(&line) {
                    tap.recorder.amend(number, |request| request.trailers.push(field));
                }
                Some(State::Trailers(number))
            }
        }
    }

    /// Moves body bytes into the record; how many are still to come.
    fn body(&mut self, tap: &ConnectionTap, number: RequestNumber, left: u64) -> Option<u64> {
        if self.pending.is_empty() {
            return None;
        }
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.pending.len());
        let part = self.take(wanted);
        tap.recorder.amend(number, |request| request.body.extend_from_slice(&part));
        Some(left.saturating_sub(u64::try_from(part.len()).unwrap_or(u64::MAX)))
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let end = memchr::memmem::find(&self.pending, b"\r\n")?;
        let mut line = self.take(end.saturating_add(2));
        line.truncate(end);
        Some(line)
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.pending.split_off(count.min(self.pending.len()));
        std::mem::replace(&mut self.pending, rest)
    }
}

fn parse_head(tap: &ConnectionTap, head: &[u8]) -> Option<State> {
    let text = head.strip_suffix(b"\r\n\r\n")?;
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = String::from_utf8_lossy(lines.next()?).into_owned();
    let mut words = first.splitn(3, ' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    let headers: Vec<(String, Vec<u8>)> = lines.filter_map(parse_field).collect();
    let values = |name: &str| {
        let named: Vec<String> = headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value).trim().to_ascii_lowercase())
            .collect();
        named
    };
    let chunked = values("transfer-encoding").iter().any(|coding| coding.ends_with("chunked"));
    let length = values("content-length").first().and_then(|length| length.parse::<u64>().ok());
    let request = RecordedRequest {
        connection: tap.id,
        version: version.to_owned(),
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body: Vec::new(),
        trailers: Vec::new(),
        complete: false,
    };
    let number = tap.recorder.began(request);
    Some(match chunked {
        true => State::ChunkSize(number),
        false => State::Counted(number, length.unwrap_or(0)),
    })
}

/// One header line; the value without the blanks around it (RFC 9112, 5).
fn parse_field(line: impl AsRef<[u8]>) -> Option<(String, Vec<u8>)> {
    let line = line.as_ref();
    let colon = memchr::memchr(b':', line)?;
    let (name, rest) = line.split_at_checked(colon)?;
    let value = rest.get(1..)?.trim_ascii();
    Some((String::from_utf8_lossy(name).into_owned(), value.to_vec()))
}
