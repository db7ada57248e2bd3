//! What every store has to do with kept forms. `form_suite!(|folder| store)` makes one test of each rule for one store.

use std::sync::Arc;

use super::{Room, Sealed, SessionStore, StoreError, StoredForm, Tag};
use crate::clock::Timestamp;

macro_rules! form_suite {
    ($make:expr) => {
        $crate::session::store::form_suite::form_suite!($make;
            a_form_is_kept_and_taken_once,
            of_fifty_at_once_one_takes_the_form,
            no_more_is_kept_than_there_is_room_for,
            what_is_over_makes_room_and_is_swept,
            a_closed_store_keeps_no_form,
        );
    };
    ($make:expr; $($rule:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                let make: fn(&std::path::Path) -> Arc<dyn SessionStore> = $make;
                $crate::session::store::form_suite::$rule(make(folder.path())).await;
            }
        )+
    };
}
pub(super) use form_suite;

type Store = Arc<dyn SessionStore>;

const ROOM: Room = Room { of_one_browser: 2, from_one_address: 100_000, in_all: 200_000 };

fn tag(n: u8) -> Tag {
    Tag::from_bytes([n; 32])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn form(browser: u8, address: u8, bytes: usize) -> StoredForm {
    let sealed = Sealed::from_bytes(vec![browser; bytes]);
    StoredForm { sealed, browser: tag(browser), address: tag(address), until: at(100) }
}

pub(super) async fn a_form_is_kept_and_taken_once(store: Store) {
    assert_eq!(store.kept_form(&tag(1)).await, Ok(None));
    assert_eq!(store.take_form(&tag(1)).await, Ok(None));
    assert_eq!(store.keep_form(&tag(1), form(1, 1, 9), ROOM, at(0)).await, Ok(true));
    assert_eq!(store.kept_form(&tag(1)).await, Ok(Some(form(1, 1, 9))));
    assert_eq!(store.kept_form(&tag(2)).await, Ok(None));
    assert_eq!(store.take_form(&tag(1)).await, Ok(Some(form(1, 1, 9))));
    assert_eq!(store.take_form(&tag(1)).await, Ok(None));
    assert_eq!(store.kept_form(&tag(1)).await, Ok(None));
}

pub(super) async fn of_fifty_at_once_one_takes_the_form(store: Store) {
    assert_eq!(store.keep_form(&tag(1), form(1, 1, 9), ROOM, at(0)).await, Ok(true));
    let all = (0..50).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.take_form(&tag(1)).await.unwrap().is_some() })
    });
    let taken = futures_util::future::join_all(all).await;
    assert_eq!(taken.into_iter().filter(|taken| *taken.as_ref().unwrap()).count(), 1);
}

pub(super) async fn no_more_is_kept_than_there_is_room_for(store: Store) {
    let keep = async |n: u8, form: StoredForm| store.keep_form(&tag(n), form, ROOM, at(0)).await.unwrap();
    assert!(keep(1, form(1, 1, 10)).await && keep(2, form(1, 1, 10)).await);
    assert!(!keep(3, form(1, 1, 10)).await, "one browser has two");
    assert!(!keep(3, form(2, 1, 92_000)).await, "one address has 100 kB, and each form takes 4 KiB at least");
    assert!(keep(3, form(2, 1, 90_000)).await);
    assert!(!keep(4, form(3, 2, 100_001)).await);
    assert!(keep(4, form(3, 2, 100_000)).await);
    assert!(!keep(5, form(4, 3, 10_000)).await, "200 kB in all");
    assert_eq!(store.kept_form(&tag(5)).await, Ok(None));
    assert!(store.take_form(&tag(4)).await.unwrap().is_some());
    assert!(keep(5, form(4, 3, 10_000)).await, "what was taken makes room");
}

pub(super) async fn what_is_over_makes_room_and_is_swept(store: Store) {
    let full = Room { in_all: 5000, ..ROOM };
    assert_eq!(store.keep_form(&tag(1), form(1, 1, 10), full, at(0)).await, Ok(true));
    assert_eq!(store.keep_form(&tag(2), form(2, 2, 10), full, at(100)).await, Ok(false));
    assert_eq!(store.keep_form(&tag(2), form(2, 2, 10), full, at(101)).await, Ok(true));
    assert_eq!(store.kept_form(&tag(1)).await, Ok(None));
    store.sweep(at(100), 10).await.unwrap();
    assert!(store.kept_form(&tag(2)).await.unwrap().is_some());
    store.sweep(at(101), 10).await.unwrap();
    assert_eq!(store.kept_form(&tag(2)).await, Ok(None));
}

pub(super) async fn a_closed_store_keeps_no_form(store: Store) {
    store.close().await.unwrap();
    assert_eq!(store.keep_form(&tag(1), form(1, 1, 9), ROOM, at(0)).await, Err(StoreError::Closed));
    assert_eq!(store.kept_form(&tag(1)).await, Err(StoreError::Closed));
    assert_eq!(store.take_form(&tag(1)).await, Err(StoreError::Closed));
}
