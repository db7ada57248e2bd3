//! What is new in a configuration, and what of that takes a new process. In words for operators; never a secret.

use std::fmt::{Debug, Display};

use crate::config::Config;

/// What a running gateway cannot change: one sentence each, none when it can follow.
pub(super) fn needing_restart(before: &Config, now: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let (old, new) = (&before.listen, &now.listen);
    let mut listener = |name: &str, old: Option<&dyn Display>, new: Option<&dyn Display>| {
        let told = |address: Option<&dyn Display>| address.map_or("closed".to_owned(), ToString::to_string);
        if told(old) != told(new) {
            let what = format!("listen.{name} was {} at the start and is {} now", told(old), told(new));
            found.push(format!("{what}: a running process keeps its sockets: run `vestibule upgrade`"));
        }
    };
    listener("https", Some(&old.https), Some(&new.https));
    listener("http", shown(&old.http), shown(&new.http));
    listener("behind_tls_proxy", shown(&old.behind_tls_proxy), shown(&new.behind_tls_proxy));
    listener("admin", shown(&old.admin), shown(&new.admin));
    let mut other = |name: &str, same: bool, why: &str| {
        if !same {
            found.push(format!("{name} has changed: {why}: run `vestibule upgrade`"));
        }
    };
    let (most, idle) =
        ("the places for connections are counted from the start of the process", "connections that stand rely on it");
    other("listen.limits.connections", old.limits.connections == new.limits.connections, most);
    other("listen.limits.idle_time", old.limits.idle_time == new.limits.idle_time, idle);
    other("tls.acme", before.tls.acme == now.tls.acme, "orders are under way with another account");
    let (old, new) = (&before.session, &now.session);
    other("session.store", old.store == new.store, "the process has the store open");
    other("keys", old.keys == new.keys, "what the process holds in memory is sealed under them");
    let lifetimes = |session: &crate::session::settings::SessionSettings| {
        (session.idle_timeout, session.absolute_timeout, session.cache_entries)
    };
    other("session", lifetimes(old) == lifetimes(new), "sessions in memory live by the settings that they began with");
    other("telemetry.log", before.log == now.log, "the log is open already");
    found
}

fn shown<T: Display>(address: &Option<T>) -> Option<&dyn Display> {
    address.as_ref().map(|address| address as &dyn Display)
}

/// What is new: one sentence each, none when everything means the same.
pub(super) fn changes(before: &Config, now: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if before.listen != now.listen {
        found.push("listen: changed".to_owned());
    }
    if before.tls != now.tls {
        found.push("tls: changed".to_owned());
    }
    named("identity provider", (&before.providers, &now.providers), |provider| provider.name.to_string(), &mut found);
    named("portal", (&before.portals, &now.portals), |portal| portal.host.to_string(), &mut found);
    found
}

/// What was added, changed and removed of `before` and `now`.
fn named<T: PartialEq + Debug>(
    what: &str,
    (before, now): (&[T], &[T]),
    name: impl Fn(&T) -> String,
    found: &mut Vec<String>,
) {
    for one in now {
        match before.iter().find(|old| name(old) == name(one)) {
            None => found.push(format!("{what} {}: added", name(one))),
            Some(old) if old != one => found.push(format!("{what} {}: changed", name(one))),
            Some(_) => {}
        }
    }
    for one in before.iter().filter(|old| now.iter().all(|one| name(one) != name(old))) {
        found.push(format!("{what} {}: removed", name(one)));
    }
}
