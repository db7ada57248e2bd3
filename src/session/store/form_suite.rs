//! What every store has to do with kept forms. `form_suite!(|folder| store)` makes one test of each rule for one store.

use std::sync::Arc;

use super::{Room, Sealed, SessionStore, StoreError, StoredForm, StoredHead, Tag, Whose};
use crate::clock::Timestamp;

macro_rules! form_suite {
    ($make:expr) => {
        $crate::session::store::form_suite::form_suite!($make;
            a_form_is_kept_and_taken_once,
            of_fifty_at_once_one_takes_the_form,
            no_more_is_kept_than_there_is_room_for,
            one_person_and_one_portal_have_so_much_room,
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

const ROOM: Room = Room {
    of_one_browser: 2,
    of_one_person: u64::MAX,
    from_one_address: 100_000,
    of_one_portal: u64::MAX,
    in_all: 200_000,
};

fn tag(n: u8) -> Tag {
    Tag::from_bytes([n; 32])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn form(browser: u8, address: u8, bytes: usize) -> StoredForm {
    let (head, body) = (vec![browser; bytes / 3], vec![address; bytes - bytes / 3]);
    let whose = Whose { browser: tag(browser), person: tag(browser), address: tag(address), portal: tag(0) };
    StoredForm { head: Sealed::from_bytes(head), body: Sealed::from_bytes(body), whose, until: at(100) }
}

fn head(form: StoredForm) -> StoredHead {
    StoredHead { head: form.head, until: form.until }
}

pub(super) async fn a_form_is_kept_and_taken_once(store: Store) {
    assert_eq!(store.form_head(&tag(1)).await, Ok(None));
    assert_eq!(store.take_form(&tag(1)).await, Ok(None));
    assert_eq!(store.keep_form(&tag(1), form(1, 1, 9), ROOM, at(0)).await, Ok(true));
    assert_eq!(store.form_head(&tag(1)).await, Ok(Some(head(form(1, 1, 9)))));
    assert_eq!(store.form_head(&tag(2)).await, Ok(None));
    assert_eq!(store.take_form(&tag(1)).await, Ok(Some(form(1, 1, 9))));
    assert_eq!(store.take_form(&tag(1)).await, Ok(None));
    assert_eq!(store.form_head(&tag(1)).await, Ok(None));
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
    assert_eq!(store.form_head(&tag(5)).await, Ok(None));
    assert!(store.take_form(&tag(4)).await.unwrap().is_some());
    assert!(keep(5, form(4, 3, 10_000)).await, "what was taken makes room");
}

pub(super) async fn one_person_and_one_portal_have_so_much_room(store: Store) {
    let whose = |person: u8, portal: u8| {
        let at_once = form(person, person, 9000);
        let n = person * 10 + portal; // everything else is another's
        let whose = Whose { browser: tag(n), person: tag(person), address: tag(n), portal: tag(portal) };
        StoredForm { whose, ..at_once }
    };
    let room = Room { of_one_person: 20_000, of_one_portal: 30_000, ..ROOM };
    let keep = async |n: u8, form: StoredForm| store.keep_form(&tag(n), form, room, at(0)).await.unwrap();
    assert!(keep(1, whose(1, 1)).await && keep(2, whose(1, 2)).await);
    assert!(!keep(3, whose(1, 3)).await, "one person has 20 kB, in whatever browser and at whatever portal");
    assert!(keep(3, whose(2, 1)).await && keep(4, whose(3, 1)).await);
    assert!(!keep(5, whose(4, 1)).await, "one portal has 30 kB");
    assert!(keep(5, whose(4, 2)).await);
}

pub(super) async fn what_is_over_makes_room_and_is_swept(store: Store) {
    let full = Room { in_all: 5000, ..ROOM };
    assert_eq!(store.keep_form(&tag(1), form(1, 1, 10), full, at(0)).await, Ok(true));
    assert_eq!(store.keep_form(&tag(2), form(2, 2, 10), full, at(100)).await, Ok(false));
    assert_eq!(store.keep_form(&tag(2), form(2, 2, 10), full, at(101)).await, Ok(true));
    assert_eq!(store.form_head(&tag(1)).await, Ok(None));
    store.sweep(at(100), 10).await.unwrap();
    assert!(store.form_head(&tag(2)).await.unwrap().is_some());
    store.sweep(at(101), 10).await.unwrap();
    assert_eq!(store.form_head(&tag(2)).await, Ok(None));
}

pub(super) async fn a_closed_store_keeps_no_form(store: Store) {
    store.close().await.unwrap();
    assert_eq!(store.keep_form(&tag(1), form(1, 1, 9), ROOM, at(0)).await, Err(StoreError::Closed));
    assert_eq!(store.form_head(&tag(1)).await, Err(StoreError::Closed));
    assert_eq!(store.take_form(&tag(1)).await, Err(StoreError::Closed));
}
