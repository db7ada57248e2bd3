//! What goes on beside the requests: names are looked up again, nodes are checked, those that nobody checks are tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use super::{Node, Nodes};
use crate::http_client::Call;
use crate::portal::settings::HealthCheckSettings;

/// How soon names are looked up again that have never led anywhere.
const SOON: Duration = Duration::from_secs(2);

/// How long somebody may take to accept a connection at a node that nobody checks.
const ACCEPT_TIME: Duration = Duration::from_secs(5);

/// Octets of the answer to a check.
const ANSWER: usize = 1024 * 1024;

impl Nodes {
    /// Looks names up again and watches each node, until it is aborted.
    pub async fn keep(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        let mut watched: Vec<(Arc<Node>, AbortHandle)> = Vec::new();
        loop {
            let found = if self.has_names() { self.look_up().await } else { Ok(()) };
            let nodes = self.found.load_full();
            let is_known = |known: &Arc<Node>| nodes.iter().any(|node| Arc::ptr_eq(node, known));
            watched.iter().filter(|(known, _)| !is_known(known)).for_each(|(_, task)| task.abort());
            watched.retain(|(known, _)| is_known(known));
            while tasks.try_join_next().is_some() {}
            for node in nodes.iter() {
                if !watched.iter().any(|(known, _)| Arc::ptr_eq(known, node)) {
                    node.announce();
                    let task = tasks.spawn(Arc::clone(&self).watch(Arc::clone(node)));
                    watched.push((Arc::clone(node), task));
                }
            }
            if !self.has_names() {
                return std::future::pending().await;
            }
            let pause = if found.is_err() { SOON } else { self.settings.resolve_every };
            tokio::time::sleep(self.jittered(pause)).await;
        }
    }

    /// There are no such nodes any more, but those that `others` have of the same portal.
    pub fn end(&self, others: Option<&Self>) {
        for node in self.found.load().iter() {
            node.is_gone();
            if others.is_none_or(|others| others.find(node.address()).is_none()) {
                self.parts.observer.gone(node.address());
            }
        }
    }

    async fn watch(self: Arc<Self>, node: Arc<Node>) {
        let Some(check) = &self.settings.health_check else {
            loop {
                node.until_out().await;
                tokio::time::sleep(self.jittered(self.settings.pause)).await;
                node.checked(node.accepts_connections(ACCEPT_TIME).await);
            }
        };
        loop {
            node.checked(self.check(check, &node).await);
            tokio::time::sleep(self.jittered(check.every)).await;
        }
    }

    async fn check(&self, check: &HealthCheckSettings, node: &Node) -> Result<(), String> {
        let (path, query) = match check.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (check.path.as_str(), None),
        };
        let mut url = self.site.clone();
        url.set_path(path);
        url.set_query(query);
        let client = self.client_of(node).map_err(|error| error.to_string())?;
        let answer =
            client.send(Call::get(url).within(check.timeout, ANSWER)).await.map_err(|error| error.to_string())?;
        if !check.status.contains(&answer.status) {
            return Err(format!("it answers {}", answer.status.as_u16()));
        }
        let text = check.text.as_deref().unwrap_or_default().as_bytes();
        if memchr::memmem::find(&answer.body, text).is_none() {
            return Err("its answer does not hold the text".to_owned());
        }
        Ok(())
    }

    /// Between nine tenths of `pause` and all of it, so that many gateways do not come at once.
    fn jittered(&self, pause: Duration) -> Duration {
        let tenth = pause.checked_div(10).unwrap_or_default();
        let [random] = self.parts.random.name_bytes::<1>().unwrap_or_default();
        let part = tenth.saturating_mul(u32::from(random)).checked_div(255).unwrap_or_default();
        pause.saturating_sub(part)
    }
}
