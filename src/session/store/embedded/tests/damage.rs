//! A file of which a part is damaged: the store starts, and says so when somebody meets the damage.

use super::*;

const PAGE: usize = 4096;
/// The session whose leaf is damaged.
const HIT: u16 = 7;
/// A session in another leaf.
const SPARED: u16 = 100;

fn kept() -> StoredSession {
    session(&"x".repeat(500), &[1], 10)
}

/// A file that was closed in order.
async fn filled(path: &Path) {
    let store = EmbeddedStore::open(path.to_owned()).unwrap();
    for n in 0..200 {
        store.save(&hash(n), kept()).await.unwrap();
    }
    store.close().await.unwrap();
}

/// Damages the leaf that holds the record of [`HIT`]: what it tells of itself, then ends of values, keys, values.
fn damage(path: &Path, damaged: fn(&mut [u8])) {
    let mut bytes = fs::read(path).unwrap();
    let (mut leaves, of_hit) = (0, hash(HIT));
    for page in bytes.chunks_mut(PAGE) {
        let has = |part: &[u8]| memchr::memmem::find(page, part).is_some();
        if page[0] == 1 && has(of_hit.as_bytes()) && has(b"record xxx") {
            leaves += 1; // also what is left of it elsewhere, from before it was written anew
            damaged(page);
        }
    }
    assert!(leaves > 0, "the file is made in another way");
    fs::write(path, bytes).unwrap();
}

fn wrong_ends(leaf: &mut [u8]) {
    let rows = usize::from(u16::from_le_bytes([leaf[2], leaf[3]]));
    leaf[4..4 + 4 * rows].fill(0xa5);
}

fn is_damaged(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Damaged { .. }))
}

#[tokio::test]
async fn a_file_that_was_closed_in_order_is_not_read_to_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, path) = (Disk::default(), folder.path().join("sessions.redb"));
    filled(&path).await;
    let pages = fs::metadata(&path).unwrap().len() / PAGE as u64;
    let store = store_on(&disk, path);
    let reads = disk.reads.load(Ordering::SeqCst) as u64;
    assert!(reads < pages / 4, "{reads} reads of a file of {pages} pages");
    assert_eq!(store.count().await, Ok(200));
}

#[tokio::test]
async fn a_damaged_leaf_is_told_when_it_is_read_and_then_nothing_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, path) = (Disk::default(), folder.path().join("sessions.redb"));
    filled(&path).await;
    damage(&path, wrong_ends);
    for _ in 0..2 {
        disk.checks.store(0, Ordering::SeqCst);
        let store = store_on(&disk, path.clone());
        assert_eq!(store.load(&hash(SPARED)).await, Ok(Some(kept())));
        let met = store.load(&hash(HIT)).await.unwrap_err();
        assert!(matches!(met, StoreError::Broken { .. } | StoreError::Damaged { .. }), "{met}");

        assert!(is_damaged(store.flush().await));
        assert!(is_damaged(store.health()));
        assert!(is_damaged(store.load(&hash(SPARED)).await.map(drop)));
        assert!(is_damaged(store.find_by_tag(&[Tag::from_bytes([1; 32])]).await.map(drop)), "not \"no sessions\"");
        assert!(is_damaged(store.save(&hash(300), kept()).await));
        assert!(is_damaged(store.forget(&hash(SPARED)).await.map(drop)));
        assert_eq!(disk.checks.load(Ordering::SeqCst), 1, "all of the file is read once, not with every use");
        assert!(is_damaged(store.close().await));
        // A restart changes nothing about that: somebody has to move the file away.
    }
}

#[tokio::test]
async fn a_damaged_leaf_is_told_when_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, path) = (Disk::default(), folder.path().join("sessions.redb"));
    filled(&path).await;
    damage(&path, wrong_ends);
    let store = store_on(&disk, path);
    let met = store.save(&hash(HIT), kept()).await.unwrap_err();
    assert!(matches!(met, StoreError::Broken { .. } | StoreError::Damaged { .. }), "{met}");
    assert!(is_damaged(store.flush().await));
    assert!(is_damaged(store.health()));
    assert!(is_damaged(store.load(&hash(HIT)).await.map(drop)));
    assert_eq!(disk.checks.load(Ordering::SeqCst), 1);
}

/// Damage that no reader can see costs sessions, and makes none.
#[tokio::test]
async fn a_damaged_leaf_brings_nobody_elses_session() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.redb");
    filled(&whole).await;
    let keys: fn(&mut [u8]) = |leaf| {
        let rows = usize::from(u16::from_le_bytes([leaf[2], leaf[3]]));
        leaf[4 + 4 * rows..4 + 36 * rows].fill(0xa5);
    };
    let rest: fn(&mut [u8]) = |leaf| leaf[1..].fill(0xa5);
    for (number, damaged) in [keys, rest, |leaf| leaf.fill(0), |leaf| leaf.fill(0xff), wrong_ends].iter().enumerate() {
        let path = folder.path().join(format!("{number}.redb"));
        fs::copy(&whole, &path).unwrap();
        damage(&path, *damaged);
        let store = EmbeddedStore::open(path).unwrap();
        for n in 0..200 {
            match store.load(&hash(n)).await {
                Ok(Some(found)) => assert_eq!(found, kept()),
                Ok(None) | Err(StoreError::Broken { .. } | StoreError::Damaged { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[tokio::test]
async fn a_sound_file_that_was_misread_works_again() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, path) = (Disk::default(), folder.path().join("sessions.redb"));
    filled(&path).await;
    let store = store_on(&disk, path);
    for n in [HIT, SPARED] {
        disk.garbled.store(1, Ordering::SeqCst);
        let met = store.load(&hash(n)).await.unwrap_err();
        assert!(matches!(met, StoreError::Broken { .. } | StoreError::Damaged { .. }), "{met}");
        assert_eq!(store.flush().await, Ok(()));
        assert_eq!(store.health(), Ok(()));
        assert_eq!(store.load(&hash(n)).await, Ok(Some(kept())));
    }
    assert_eq!(disk.checks.load(Ordering::SeqCst), 1, "not again so soon after it was found sound");
}
