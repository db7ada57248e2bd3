//! What every session store has to do. `store_suite!(|folder| store)` makes one test of each rule for one store.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Mark, Sealed, SessionStore, StoreError, StoredIndex, StoredSession, Tag};
use crate::clock::Timestamp;
use crate::ids::SessionHash;

macro_rules! store_suite {
    ($make:expr) => {
        $crate::session::store::suite::store_suite!($make;
            what_is_saved_is_loaded,
            what_is_unknown_is_not_there,
            a_record_is_replaced_only_where_one_is,
            a_touch_brings_nothing_back,
            a_touch_moves_tags_and_time,
            a_touch_keeps_what_has_not_changed,
            forgetting_leaves_nothing,
            tags_find_all_and_only_theirs,
            a_scan_is_bounded,
            a_sweep_takes_what_is_over,
            a_sweep_is_bounded,
            a50_a_mark_is_taken_once,
            a50_of_fifty_at_once_one_has_the_mark,
            marks_are_kept_until_their_time_and_swept,
            many_at_once,
            a_closed_store_says_so,
        );
    };
    ($make:expr; $($rule:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                let make: fn(&std::path::Path) -> Arc<dyn SessionStore> = $make;
                $crate::session::store::suite::$rule(make(folder.path())).await;
            }
        )+
    };
}
pub(super) use store_suite;

pub(super) fn hash(n: u16) -> SessionHash {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    SessionHash::from_bytes(bytes)
}

fn tag(n: u8) -> Tag {
    Tag::from_bytes([n; 32])
}

fn sealed(text: &str) -> Sealed {
    Sealed::from_bytes(text.as_bytes().to_vec())
}

fn index(text: &str, tags: &[u8], seconds: i64) -> StoredIndex {
    let tags = tags.iter().map(|&n| tag(n)).collect();
    StoredIndex { sealed: sealed(text), tags, swept_after: Timestamp::from_seconds(seconds) }
}

pub(super) fn session(text: &str, tags: &[u8], seconds: i64) -> StoredSession {
    StoredSession { record: sealed(&format!("record {text}")), index: index(&format!("index {text}"), tags, seconds) }
}

type Store = Arc<dyn SessionStore>;

pub(super) async fn what_is_saved_is_loaded(store: Store) {
    store.save(&hash(1), session("one", &[1, 2], 10)).await.unwrap();
    store.save(&hash(2), session("two", &[], -10)).await.unwrap();
    assert_eq!(store.load(&hash(1)).await, Ok(Some(session("one", &[1, 2], 10))));
    assert_eq!(store.load(&hash(2)).await, Ok(Some(session("two", &[], -10))));
    assert_eq!(store.count().await, Ok(2));
    assert_eq!(store.health(), Ok(()));
}

pub(super) async fn what_is_unknown_is_not_there(store: Store) {
    assert_eq!(store.load(&hash(1)).await, Ok(None));
    assert_eq!(store.forget(&hash(1)).await, Ok(false));
    assert_eq!(store.find_by_tag(&[tag(1)]).await, Ok(Vec::new()));
    assert_eq!(store.scan(10).await, Ok(Vec::new()));
    assert_eq!(store.count().await, Ok(0));
}

pub(super) async fn a_record_is_replaced_only_where_one_is(store: Store) {
    assert_eq!(store.replace(&hash(1), sealed("new")).await, Ok(false));
    assert_eq!(store.load(&hash(1)).await, Ok(None));
    store.save(&hash(1), session("one", &[1], 10)).await.unwrap();
    assert_eq!(store.replace(&hash(1), sealed("new")).await, Ok(true));
    let loaded = store.load(&hash(1)).await.unwrap().unwrap();
    assert_eq!((loaded.record, loaded.index), (sealed("new"), session("one", &[1], 10).index));
}

pub(super) async fn a_touch_brings_nothing_back(store: Store) {
    store.save(&hash(1), session("one", &[1], 10)).await.unwrap();
    store.touch(&hash(1), index("later", &[1], 20)).unwrap();
    store.forget(&hash(1)).await.unwrap();
    store.touch(&hash(1), index("later still", &[1], 30)).unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.load(&hash(1)).await, Ok(None));
    assert_eq!(store.find_by_tag(&[tag(1)]).await, Ok(Vec::new()));
    assert_eq!(store.sweep(Timestamp::from_seconds(100), 10).await, Ok(Vec::new()));
}

pub(super) async fn a_touch_moves_tags_and_time(store: Store) {
    store.save(&hash(1), session("one", &[1, 2], 10)).await.unwrap();
    store.touch(&hash(1), index("later", &[2, 3], 20)).unwrap();
    store.flush().await.unwrap();
    let loaded = store.load(&hash(1)).await.unwrap().unwrap();
    assert_eq!((loaded.record, loaded.index), (sealed("record one"), index("later", &[2, 3], 20)));
    assert_eq!(store.find_by_tag(&[tag(1)]).await, Ok(Vec::new()));
    assert_eq!(store.find_by_tag(&[tag(2), tag(3)]).await, Ok(vec![hash(1)]));
    assert_eq!(store.sweep(Timestamp::from_seconds(15), 10).await, Ok(Vec::new()));
    assert_eq!(store.sweep(Timestamp::from_seconds(21), 10).await, Ok(vec![hash(1)]));
}

pub(super) async fn a_touch_keeps_what_has_not_changed(store: Store) {
    store.save(&hash(1), session("one", &[1, 2], 10)).await.unwrap();
    for (text, tags, seconds) in [("used", &[1, 2], 10), ("used, and longer", &[2, 1], 10), ("moved", &[1, 2], 20)] {
        store.touch(&hash(1), index(text, tags, seconds)).unwrap();
        store.flush().await.unwrap();
        assert_eq!(store.load(&hash(1)).await.unwrap().unwrap().index, index(text, tags, seconds));
        for n in [1, 2] {
            assert_eq!(store.find_by_tag(&[tag(n)]).await, Ok(vec![hash(1)]));
        }
        assert_eq!(store.sweep(Timestamp::from_seconds(seconds), 10).await, Ok(Vec::new()));
    }
    assert_eq!(store.sweep(Timestamp::from_seconds(21), 10).await, Ok(vec![hash(1)]));
    assert_eq!(store.find_by_tag(&[tag(1), tag(2)]).await, Ok(Vec::new()));
}

pub(super) async fn forgetting_leaves_nothing(store: Store) {
    store.save(&hash(1), session("one", &[1, 2], 10)).await.unwrap();
    store.save(&hash(2), session("two", &[1], 10)).await.unwrap();
    assert_eq!(store.forget(&hash(1)).await, Ok(true));
    assert_eq!(store.forget(&hash(1)).await, Ok(false));
    assert_eq!(store.load(&hash(1)).await, Ok(None));
    assert_eq!(store.find_by_tag(&[tag(1), tag(2)]).await, Ok(vec![hash(2)]));
    assert_eq!(store.count().await, Ok(1));
    assert_eq!(store.sweep(Timestamp::from_seconds(100), 10).await, Ok(vec![hash(2)]));
}

pub(super) async fn tags_find_all_and_only_theirs(store: Store) {
    for n in 0..20_u16 {
        store.save(&hash(n), session("any", &[u8::try_from(n % 3).unwrap(), 100], 10)).await.unwrap();
    }
    let found: BTreeSet<_> = store.find_by_tag(&[tag(1)]).await.unwrap().into_iter().collect();
    assert_eq!(found, (0..20).filter(|n| n % 3 == 1).map(hash).collect());
    assert_eq!(store.find_by_tag(&[tag(0), tag(1), tag(100)]).await.unwrap().len(), 20, "each once");
    assert_eq!(store.find_by_tag(&[tag(9)]).await, Ok(Vec::new()));
}

pub(super) async fn a_scan_is_bounded(store: Store) {
    for n in 0..20 {
        store.save(&hash(n), session("any", &[], 10)).await.unwrap();
    }
    assert_eq!(store.scan(7).await.unwrap().len(), 7);
    let all: BTreeSet<_> = store.scan(100).await.unwrap().into_iter().map(|(hash, _)| hash).collect();
    assert_eq!(all, (0..20).map(hash).collect());
    assert!(store.scan(100).await.unwrap().iter().all(|(_, index)| *index == sealed("index any")));
}

pub(super) async fn a_sweep_takes_what_is_over(store: Store) {
    for n in 0..10 {
        store.save(&hash(n), session("any", &[1], i64::from(n))).await.unwrap();
    }
    let swept: BTreeSet<_> = store.sweep(Timestamp::from_seconds(4), 100).await.unwrap().into_iter().collect();
    assert_eq!(swept, (0..4).map(hash).collect(), "what is over at that very moment stays a moment longer");
    assert_eq!(store.find_by_tag(&[tag(1)]).await.unwrap().len(), 6);
    assert_eq!(store.sweep(Timestamp::from_seconds(4), 100).await, Ok(Vec::new()));
}

pub(super) async fn a_sweep_is_bounded(store: Store) {
    for n in 0..10 {
        store.save(&hash(n), session("any", &[], 0)).await.unwrap();
    }
    let mut sizes = Vec::new();
    for _ in 0..4 {
        sizes.push(store.sweep(Timestamp::from_seconds(1), 4).await.unwrap().len());
    }
    assert_eq!(sizes, [4, 4, 2, 0]);
}

pub(super) async fn a50_a_mark_is_taken_once(store: Store) {
    let (one, other) = (Mark::of(&["a", "bc"]), Mark::of(&["ab", "c"]));
    assert_eq!(store.mark_once(&one, Timestamp::from_seconds(10)).await, Ok(true));
    assert_eq!(store.mark_once(&one, Timestamp::from_seconds(99)).await, Ok(false));
    assert_eq!(store.mark_once(&other, Timestamp::from_seconds(10)).await, Ok(true));
    assert_eq!(store.count().await, Ok(0), "a mark is no session");
    assert_eq!(store.scan(10).await, Ok(Vec::new()));
}

pub(super) async fn a50_of_fifty_at_once_one_has_the_mark(store: Store) {
    let mark = Mark::of(&["assertion"]);
    let tasks = (0..50).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.mark_once(&mark, Timestamp::from_seconds(10)).await.unwrap() })
    });
    let mut taken = 0;
    for task in tasks.collect::<Vec<_>>() {
        taken += usize::from(task.await.unwrap());
    }
    assert_eq!(taken, 1);
}

pub(super) async fn marks_are_kept_until_their_time_and_swept(store: Store) {
    let mark = |n: i64| Mark::of(&[&n.to_string()]);
    for n in 0..10 {
        store.mark_once(&mark(n), Timestamp::from_seconds(n)).await.unwrap();
    }
    assert_eq!(store.sweep(Timestamp::from_seconds(4), 3).await, Ok(Vec::new()), "no session was over");
    let mut kept = Vec::new();
    for n in 0..10 {
        kept.push(!store.mark_once(&mark(n), Timestamp::from_seconds(n)).await.unwrap());
    }
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 7, "a sweep is bounded");
    store.sweep(Timestamp::from_seconds(4), 100).await.unwrap();
    for n in 0..10 {
        assert_eq!(store.mark_once(&mark(n), Timestamp::from_seconds(n)).await, Ok(n < 4), "{n}");
    }
}

pub(super) async fn many_at_once(store: Store) {
    let tasks = (0..200).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            store.save(&hash(n), session("any", &[1], 10)).await.unwrap();
            assert!(store.load(&hash(n)).await.unwrap().is_some());
            if n % 2 == 0 {
                assert_eq!(store.forget(&hash(n)).await, Ok(true));
                assert_eq!(store.load(&hash(n)).await, Ok(None));
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(store.count().await, Ok(100));
    assert_eq!(store.find_by_tag(&[tag(1)]).await.unwrap().len(), 100);
}

pub(super) async fn a_closed_store_says_so(store: Store) {
    store.save(&hash(1), session("one", &[], 10)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(store.load(&hash(1)).await, Err(StoreError::Closed));
    assert_eq!(store.save(&hash(1), session("one", &[], 10)).await, Err(StoreError::Closed));
    assert_eq!(store.forget(&hash(1)).await, Err(StoreError::Closed));
    assert_eq!(store.touch(&hash(1), index("one", &[], 10)), Err(StoreError::Closed));
}
