use std::fs::{self, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend, TableDefinition};

use super::super::form_suite::form_suite;
use super::super::record_suite::record_suite;
use super::super::suite::{hash, session, store_suite};
use super::file::Check;
use super::*;

form_suite!(|folder| Arc::new(EmbeddedStore::open(folder.join("sessions.redb")).unwrap()) as Arc<dyn SessionStore>);
record_suite!(|folder| Arc::new(EmbeddedStore::open(folder.join("sessions.redb")).unwrap()) as Arc<dyn SessionStore>);
store_suite!(|folder| Arc::new(EmbeddedStore::open(folder.join("sessions.redb")).unwrap()) as Arc<dyn SessionStore>);

mod damage;

/// A disk that is full or broken when told so.
#[derive(Clone, Debug, Default)]
struct Disk {
    full: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    /// How many of the next reads give something else than what was written.
    garbled: Arc<AtomicUsize>,
    /// How often all of the file was to be read when it was opened.
    checks: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct FaultyFile {
    file: FileBackend,
    disk: Disk,
}

impl FaultyFile {
    fn works(&self) -> io::Result<()> {
        if self.disk.broken.load(Ordering::SeqCst) { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }

    fn has_room(&self) -> io::Result<()> {
        self.works()?;
        if self.disk.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.works()?;
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.works()?;
        self.file.read(offset, out)?;
        self.disk.reads.fetch_add(1, Ordering::SeqCst);
        let garbled = &self.disk.garbled;
        if garbled.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            out.fill(0xa5);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.has_room()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.has_room()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.has_room()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

fn store_on(disk: &Disk, path: PathBuf) -> EmbeddedStore {
    let (disk, at) = (disk.clone(), path.clone());
    let open = OpenFile::new(move |check| {
        disk.checks.fetch_add(usize::from(check == Check::Whole), Ordering::SeqCst);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&at)?;
        file::with_backend(FaultyFile { file: FileBackend::new(file)?, disk: disk.clone() }, check)
    });
    EmbeddedStore::start(path.into(), open).unwrap()
}

/// Asks until the store is well again: the writer tries by itself.
async fn recovered(store: &EmbeddedStore) {
    while store.health().is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, path) = (Disk::default(), folder.path().join("sessions.redb"));
    let store = store_on(&disk, path.clone());
    store.save(&hash(1), session("one", &[1], 10)).await.unwrap();

    disk.full.store(true, Ordering::SeqCst);
    let full = Err(StoreError::Full { path: path.clone().into() });
    assert_eq!(store.save(&hash(2), session("two", &[1], 10)).await, full);
    assert_eq!(store.forget(&hash(1)).await.map(drop), full);
    assert_eq!(store.health(), full);

    disk.full.store(false, Ordering::SeqCst);
    recovered(&store).await;
    assert_eq!(store.load(&hash(1)).await, Ok(Some(session("one", &[1], 10))));
    assert_eq!(store.load(&hash(2)).await, Ok(None));
    store.save(&hash(2), session("two", &[1], 10)).await.unwrap();
    store.close().await.unwrap();
    let again = EmbeddedStore::open(path).unwrap();
    assert_eq!(again.count().await, Ok(2));
}

#[tokio::test]
async fn a_broken_disk_is_told_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, path) = (Disk::default(), folder.path().join("sessions.redb"));
    let store = store_on(&disk, path);
    store.save(&hash(1), session("one", &[1], 10)).await.unwrap();

    disk.broken.store(true, Ordering::SeqCst);
    let broken = store.save(&hash(2), session("two", &[1], 10)).await.unwrap_err();
    assert!(matches!(broken, StoreError::Broken { .. }), "{broken}");
    assert!(store.load(&hash(1)).await.is_err(), "not \"there is no such session\"");

    disk.broken.store(false, Ordering::SeqCst);
    recovered(&store).await;
    assert_eq!(store.load(&hash(1)).await, Ok(Some(session("one", &[1], 10))));
}

#[tokio::test]
async fn a_touch_outlives_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let store = store_on(&disk, folder.path().join("sessions.redb"));
    store.save(&hash(1), session("one", &[1], 10)).await.unwrap();
    disk.full.store(true, Ordering::SeqCst);
    store.touch(&hash(1), session("later", &[2], 20).index).unwrap();
    assert!(store.flush().await.is_err());
    disk.full.store(false, Ordering::SeqCst);
    store.flush().await.unwrap();
    assert_eq!(store.load(&hash(1)).await.unwrap().unwrap().index, session("later", &[2], 20).index);
}

#[tokio::test]
async fn sessions_outlive_a_restart_with_the_last_touch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let store = EmbeddedStore::open(path.clone()).unwrap();
    store.save(&hash(1), session("one", &[1], 10)).await.unwrap();
    store.touch(&hash(1), session("later", &[2], 20).index).unwrap();
    store.close().await.unwrap();
    let store = EmbeddedStore::open(path).unwrap();
    assert_eq!(store.load(&hash(1)).await.unwrap().unwrap().index, session("later", &[2], 20).index);
    assert_eq!(store.find_by_tag(&[Tag::from_bytes([2; 32])]).await, Ok(vec![hash(1)]));
}

#[tokio::test]
async fn a_touch_is_written_without_being_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path().join("sessions.redb")).unwrap();
    store.save(&hash(1), session("one", &[1], 10)).await.unwrap();
    store.touch(&hash(1), session("later", &[2], 20).index).unwrap();
    while store.load(&hash(1)).await.unwrap().unwrap().index != session("later", &[2], 20).index {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    EmbeddedStore::open(path.clone()).unwrap().close().await.unwrap();
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    EmbeddedStore::open(path.clone()).unwrap().close().await.unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let store = EmbeddedStore::open(path.clone()).unwrap();
    let second = EmbeddedStore::open(path.clone()).unwrap_err();
    assert_eq!(second, StoreError::InUse { path: path.as_path().into() });
    assert!(second.to_string().contains(path.to_str().unwrap()), "{second}");
    store.close().await.unwrap();
    EmbeddedStore::open(path).unwrap();
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere/sessions.redb");
    let error = EmbeddedStore::open(path.clone()).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()) && error.contains("folder does not exist"), "{error}");
    let error = EmbeddedStore::open(folder.path().to_owned()).unwrap_err();
    assert!(matches!(error, StoreError::NotOpened { .. }), "{error}");
}

#[tokio::test]
async fn a_file_of_another_format_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    EmbeddedStore::open(path.clone()).unwrap().close().await.unwrap();
    let database = file::open(&path, Check::None).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(TableDefinition::<&str, u64>::new("vestibule")).unwrap().insert("format", 7).unwrap();
    writing.commit().unwrap();
    database.close().unwrap();

    let error = EmbeddedStore::open(path.clone()).unwrap_err();
    assert!(matches!(&error, StoreError::OtherFormat { found, expected: 1, .. } if found == "7"), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()) && error.to_string().contains("move the file away"));
    assert!(path.exists());
}

#[tokio::test]
async fn a_torn_row_harms_no_other_session() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let store = EmbeddedStore::open(path.clone()).unwrap();
    store.save(&hash(1), session("one", &[1], 10)).await.unwrap();
    store.save(&hash(2), session("two", &[1], 10)).await.unwrap();
    store.close().await.unwrap();
    let database = file::open(&path, Check::None).unwrap();
    tables::damage_index_part(&database, &hash(1));
    database.close().unwrap();

    let store = EmbeddedStore::open(path).unwrap();
    assert!(store.load(&hash(1)).await.unwrap().unwrap().index.sealed.as_bytes().is_empty());
    assert_eq!(store.load(&hash(2)).await, Ok(Some(session("two", &[1], 10))));
    assert_eq!(store.scan(10).await.unwrap().len(), 2);
    let swept = store.sweep(Timestamp::from_seconds(11), 10).await.unwrap();
    assert_eq!(swept.len(), 2);
    assert_eq!(store.sweep(Timestamp::from_seconds(11), 10).await, Ok(Vec::new()));
    assert_eq!(store.count().await, Ok(0));
}

#[tokio::test]
async fn a_failed_read_does_not_spoil_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::default();
    let path = folder.path().join("sessions.redb");
    {
        let store = EmbeddedStore::open(path.clone()).unwrap();
        for n in 0..200 {
            store.save(&hash(n), session(&"x".repeat(500), &[1], 10)).await.unwrap();
        }
        store.close().await.unwrap();
    }
    let store = store_on(&disk, path);
    disk.broken.store(true, Ordering::SeqCst);
    // Whichever page is not in memory yet fails to be read; pages in memory may still be read.
    let mut failed = 0;
    for n in 0..200 {
        failed += usize::from(store.load(&hash(n)).await.is_err());
    }
    assert!(failed > 0, "the rule was not tried");
    disk.broken.store(false, Ordering::SeqCst);
    recovered(&store).await;
    while store.load(&hash(7)).await.is_err() {
        tokio::task::yield_now().await;
    }
    for n in 0..200 {
        assert!(store.load(&hash(n)).await.unwrap().is_some());
    }
}

#[test]
fn another_programs_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let database = file::open(&path, Check::None).unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(TableDefinition::<&str, u64>::new("ledger")).unwrap().insert("balance", 7).unwrap();
    writing.commit().unwrap();
    database.close().unwrap();
    let error = EmbeddedStore::open(path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let store = EmbeddedStore::open(path.clone()).unwrap();
    for n in 0..200 {
        store.save(&hash(n), session(&"x".repeat(500), &[1], 10)).await.unwrap();
    }
    store.close().await.unwrap();
    let whole = fs::read(&path).unwrap();

    let mut overwritten = whole.clone();
    overwritten[8192..].fill(0xa5);
    let truncated = whole[..whole.len() / 2].to_vec();
    for damaged in [b"this is no database".to_vec(), vec![0; 100_000], overwritten, truncated] {
        fs::write(&path, &damaged).unwrap();
        let error = EmbeddedStore::open(path.clone()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{} bytes: {error}", damaged.len());
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(path.exists());
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(EmbeddedStore::open(path).unwrap().count().await, Ok(200));
}
