//! What every store has to do with records that outlive sessions. `record_suite!(|folder| store)` makes one test of each
//! rule for one store.

use std::sync::Arc;

use super::suite::{hash, session};
use super::{RecordChange, RecordSeen, Sealed, SessionStore, Shelf, StoreError, Tag};
use crate::clock::Timestamp;

macro_rules! record_suite {
    ($make:expr) => {
        $crate::session::store::record_suite::record_suite!($make;
            what_was_put_is_fetched_from_its_shelf,
            changes_are_made_together,
            a_change_waits_for_what_was_seen,
            of_many_who_saw_the_same_one_changes_it,
            a_walk_goes_through_one_shelf_in_pieces,
            records_outlive_every_sweep,
            a_closed_store_keeps_no_record,
        );
    };
    ($make:expr; $($rule:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                let make: fn(&std::path::Path) -> Arc<dyn SessionStore> = $make;
                $crate::session::store::record_suite::$rule(make(folder.path())).await;
            }
        )+
    };
}
pub(super) use record_suite;

type Store = Arc<dyn SessionStore>;

fn tag(n: u8) -> Tag {
    Tag::from_bytes([n; 32])
}

fn sealed(text: &str) -> Sealed {
    Sealed::from_bytes(text.as_bytes().to_vec())
}

fn put(shelf: Shelf, n: u8, text: &str) -> RecordChange {
    RecordChange { shelf, tag: tag(n), record: Some(sealed(text)) }
}

fn take(shelf: Shelf, n: u8) -> RecordChange {
    RecordChange { shelf, tag: tag(n), record: None }
}

pub(super) async fn what_was_put_is_fetched_from_its_shelf(store: Store) {
    assert_eq!(store.fetch(Shelf::People, &tag(1)).await, Ok(None));
    assert_eq!(store.walk(Shelf::People, None, 10).await, Ok(Vec::new()));
    store.change(vec![put(Shelf::People, 1, "one")]).await.unwrap();
    assert_eq!(store.fetch(Shelf::People, &tag(1)).await, Ok(Some(sealed("one"))));
    assert_eq!(store.fetch(Shelf::Accounts, &tag(1)).await, Ok(None));
    store.change(vec![put(Shelf::People, 1, "another")]).await.unwrap();
    assert_eq!(store.fetch(Shelf::People, &tag(1)).await, Ok(Some(sealed("another"))));
}

pub(super) async fn changes_are_made_together(store: Store) {
    store.change(vec![put(Shelf::People, 1, "one"), put(Shelf::Accounts, 2, "two")]).await.unwrap();
    store.change(vec![take(Shelf::People, 1), take(Shelf::People, 9), put(Shelf::People, 3, "three")]).await.unwrap();
    assert_eq!(store.fetch(Shelf::People, &tag(1)).await, Ok(None));
    assert_eq!(store.fetch(Shelf::Accounts, &tag(2)).await, Ok(Some(sealed("two"))));
    assert_eq!(store.walk(Shelf::People, None, 10).await, Ok(vec![(tag(3), sealed("three"))]));
    store.change(vec![put(Shelf::People, 4, "first"), put(Shelf::People, 4, "last")]).await.unwrap();
    assert_eq!(store.fetch(Shelf::People, &tag(4)).await, Ok(Some(sealed("last"))));
    store.change(Vec::new()).await.unwrap();
}

fn seen(shelf: Shelf, n: u8, text: Option<&str>) -> RecordSeen {
    RecordSeen { shelf, tag: tag(n), record: text.map(sealed) }
}

pub(super) async fn a_change_waits_for_what_was_seen(store: Store) {
    let (shelf, fetch) = (Shelf::Certificates, async |n| store.fetch(Shelf::Certificates, &tag(n)).await);
    let nothing = || vec![seen(shelf, 1, None), seen(Shelf::People, 1, None)];
    assert_eq!(store.change_if(nothing(), vec![put(shelf, 1, "one"), put(shelf, 2, "two")]).await, Ok(true));
    assert_eq!(store.change_if(nothing(), vec![put(shelf, 1, "other"), take(shelf, 2)]).await, Ok(false));
    assert_eq!((fetch(1).await, fetch(2).await), (Ok(Some(sealed("one"))), Ok(Some(sealed("two")))), "none was made");
    let both = |second| vec![seen(shelf, 1, Some("one")), seen(shelf, 2, Some(second))];
    assert_eq!(store.change_if(both("tow"), vec![take(shelf, 1)]).await, Ok(false));
    assert_eq!(store.change_if(both("two"), vec![take(shelf, 1)]).await, Ok(true));
    assert_eq!(fetch(1).await, Ok(None));
    assert_eq!(store.change_if(Vec::new(), vec![put(shelf, 3, "three")]).await, Ok(true), "nothing was asked for");
}

pub(super) async fn of_many_who_saw_the_same_one_changes_it(store: Store) {
    let claims = (0..20_u8).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let claim = vec![put(Shelf::Certificates, 1, &n.to_string())];
            store.change_if(vec![seen(Shelf::Certificates, 1, None)], claim).await.unwrap()
        })
    });
    let claims: Vec<_> = claims.collect();
    let mut made = 0;
    for claim in claims {
        made += usize::from(claim.await.unwrap());
    }
    assert_eq!(made, 1);
}

pub(super) async fn a_walk_goes_through_one_shelf_in_pieces(store: Store) {
    let numbers = [0, 1, 2, 7, 128, 255];
    let all = numbers.map(|n| put(Shelf::People, n, &n.to_string()));
    store.change(all.into_iter().chain([put(Shelf::Accounts, 3, "other")]).collect()).await.unwrap();
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let piece = store.walk(Shelf::People, after.as_ref(), 4).await.unwrap();
        let Some((last, _)) = piece.last() else { break };
        after = Some(*last);
        walked.extend(piece);
    }
    assert_eq!(walked, numbers.map(|n| (tag(n), sealed(&n.to_string()))));
}

pub(super) async fn records_outlive_every_sweep(store: Store) {
    store.save(&hash(1), session("one", &[1], 10)).await.unwrap();
    store.change(vec![put(Shelf::People, 1, "one")]).await.unwrap();
    assert_eq!(store.sweep(Timestamp::from_seconds(100), 10).await, Ok(vec![hash(1)]));
    assert_eq!(store.count().await, Ok(0), "records do not count as sessions");
    assert_eq!(store.fetch(Shelf::People, &tag(1)).await, Ok(Some(sealed("one"))));
}

pub(super) async fn a_closed_store_keeps_no_record(store: Store) {
    store.close().await.unwrap();
    assert_eq!(store.fetch(Shelf::People, &tag(1)).await, Err(StoreError::Closed));
    assert_eq!(store.change(vec![take(Shelf::People, 1)]).await, Err(StoreError::Closed));
    assert_eq!(store.change_if(Vec::new(), Vec::new()).await, Err(StoreError::Closed));
    assert_eq!(store.walk(Shelf::People, None, 1).await, Err(StoreError::Closed));
}
