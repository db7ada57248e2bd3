//! Sockets that listen already when the process starts: passed by a service manager (systemd's socket activation,
//! `sd_listen_fds(3)`), or by the process whose place this one takes.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// The listeners of the configuration, by the names under which their sockets may be passed.
const NAMES: [&str; 4] = ["https", "behind_tls_proxy", "http", "admin"];

/// A socket that was passed and is of no use.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says itself what it is")]
pub enum InvalidInherited {
    #[error(
        "the service manager has passed descriptor {number}, which is no listening TCP socket ({reason}): one \
         ListenStream= with a port for each listener, and Accept=no"
    )]
    NoListener { number: usize, reason: String },
    #[error(
        "the service manager has passed a socket that listens on {passed}, and the configuration listens on \
         {configured}: write the same address in ListenStream= of the .socket unit as in gateway.yaml"
    )]
    Unwanted { passed: SocketAddr, configured: String },
}

/// Sockets that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    passed: VecDeque<Passed>,
    /// Whether whoever passed them counts on it that they are used.
    counted_on: bool,
}

#[derive(Debug)]
struct Passed {
    /// The listener that it is for, where that was said.
    name: Option<String>,
    address: SocketAddr,
    socket: TcpListener,
}

impl Inherited {
    /// What the service manager has passed to this process; nothing, when it has passed nothing. To be called once, before
    /// there is a second thread: it takes the variables out of the environment.
    ///
    /// # Errors
    /// When something else was passed than listening TCP sockets.
    pub fn from_service_manager() -> Result<Self, InvalidInherited> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = ListenFd::from_env();
        let mut all = VecDeque::new();
        for index in 0..passed.len() {
            let number = index.saturating_add(3); // SD_LISTEN_FDS_START
            let no_listener = |reason: String| InvalidInherited::NoListener { number, reason };
            let socket = passed.take_tcp_listener(index).map_err(|error| no_listener(error.to_string()))?;
            let socket = socket.ok_or_else(|| no_listener("it was taken before".to_owned()))?;
            if !socket_acceptconn(&socket).unwrap_or(false) {
                return Err(no_listener("it does not listen".to_owned()));
            }
            let address = socket.local_addr().map_err(|error| no_listener(error.to_string()))?;
            let name = names.next().filter(|name| NAMES.contains(name)).map(str::to_owned);
            all.push_back(Passed { name, address, socket });
        }
        Ok(Self { passed: all, counted_on: true })
    }

    /// The sockets of the process whose place this one takes, each with its listener's name.
    ///
    /// # Errors
    /// When one of them is no TCP socket.
    pub fn from_predecessor(sockets: impl IntoIterator<Item = (String, OwnedFd)>) -> std::io::Result<Self> {
        let passed = |(name, socket)| {
            let socket = TcpListener::from(socket);
            Ok(Passed { name: Some(name), address: socket.local_addr()?, socket })
        };
        let passed = sockets.into_iter().map(passed).collect::<std::io::Result<_>>()?;
        // A listener that is configured no more is closed.
        Ok(Self { passed, counted_on: false })
    }

    /// The socket of the listener `name` with that address. Port 0 fits any port.
    pub(super) fn take(&mut self, name: &str, wanted: SocketAddr) -> Option<TcpListener> {
        let fits = |one: &Passed| {
            one.address.ip() == wanted.ip() && (wanted.port() == 0 || one.address.port() == wanted.port())
        };
        let named = self.passed.iter().position(|one| one.name.as_deref() == Some(name) && fits(one));
        // Whatever its name: nobody else can listen there.
        let place = named.or_else(|| self.passed.iter().position(|one| one.address == wanted))?;
        self.passed.remove(place).map(|passed| passed.socket)
    }

    /// Nothing that a service manager has passed may be left: somebody counts on it.
    ///
    /// # Errors
    /// When there is something; `configured` are the addresses that were looked for.
    pub fn all_taken(&self, configured: &[SocketAddr]) -> Result<(), InvalidInherited> {
        let Some(passed) = self.passed.front().filter(|_| self.counted_on) else { return Ok(()) };
        let configured: Vec<String> = configured.iter().map(ToString::to_string).collect();
        Err(InvalidInherited::Unwanted { passed: passed.address, configured: configured.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(name: Option<&str>) -> Passed {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        Passed { name: name.map(str::to_owned), address: socket.local_addr().unwrap(), socket }
    }

    #[test]
    fn a_listener_takes_the_socket_with_its_own_address() {
        let (one, other) = (listening(None), listening(None));
        let (at_one, at_other) = (one.address, other.address);
        let mut inherited = Inherited { passed: [one, other].into(), counted_on: true };
        for wrong in ["0.0.0.0", "::", "127.0.0.2"] {
            let wrong = SocketAddr::new(wrong.parse().unwrap(), at_other.port());
            assert!(inherited.take("https", wrong).is_none(), "{wrong}");
        }
        assert!(inherited.take("https", "127.0.0.1:0".parse().unwrap()).is_none(), "nobody said that it is for https");
        assert_eq!(inherited.take("https", at_other).unwrap().local_addr().unwrap(), at_other);
        assert!(inherited.take("https", at_other).is_none(), "once");
        let said = inherited.all_taken(&[at_other]).unwrap_err().to_string();
        assert!(said.contains(&format!("listens on {at_one}")) && said.contains(&format!("on {at_other}:")), "{said}");
        inherited.take("admin", at_one).unwrap();
        assert!(inherited.all_taken(&[at_other, at_one]).is_ok());
    }

    #[test]
    fn a_name_tells_apart_what_addresses_do_not() {
        let (admin, https) = (listening(Some("admin")), listening(Some("https")));
        let (at_admin, at_https) = (admin.address, https.address);
        let mut inherited = Inherited { passed: [admin, https].into(), counted_on: false };
        let any = "127.0.0.1:0".parse().unwrap();
        assert!(inherited.take("http", any).is_none());
        assert_eq!(inherited.take("https", any).unwrap().local_addr().unwrap(), at_https);
        assert_eq!(inherited.take("http", at_admin).unwrap().local_addr().unwrap(), at_admin, "it is http's now");
    }
}
