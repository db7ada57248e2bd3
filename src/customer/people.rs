//! One at a time for each person: two password changes at once would make each other's login fail.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

type Gate = tokio::sync::Mutex<()>;

/// The people whom somebody is busy with. One for the whole process, so that two portals of one upstream share it.
#[derive(Default)]
pub struct People {
    gates: Mutex<HashMap<String, Weak<Gate>>>,
}

/// The leave to act for one person, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _held: OwnedMutexGuard<()>,
}

impl People {
    /// Waits for the leave to act for `person`, in the order of asking.
    pub async fn turn(&self, person: &str) -> Turn {
        Turn { _held: self.gate(person).lock_owned().await }
    }

    fn gate(&self, person: &str) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(person).and_then(Weak::upgrade) {
            return gate;
        }
        // Doubling: the whole map is looked through only as often as it has grown.
        if gates.len() == gates.capacity() {
            gates.retain(|_, gate| gate.strong_count() > 0);
        }
        let gate = Arc::new(Gate::default());
        gates.insert(person.to_owned(), Arc::downgrade(&gate));
        gate
    }
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("People")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_person_waits_and_another_does_not() {
        let people = Arc::new(People::default());
        let ana = people.turn("ana").await;
        let _bob = people.turn("bob").await;
        let waiting = tokio::spawn({
            let people = Arc::clone(&people);
            async move { drop(people.turn("ana").await) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(ana);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn people_who_left_are_forgotten() {
        let people = People::default();
        for number in 0..10_000 {
            drop(people.turn(&number.to_string()).await);
        }
        assert!(people.gates.lock().unwrap().len() < 100);
    }
}
