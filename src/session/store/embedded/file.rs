//! The file itself: opening, telling what is wrong with it, its format.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase as _, StorageBackend, TableHandle as _};

use super::super::StoreError;
use super::tables;

/// Memory that `redb` may use for pages of the file. Sessions in use are cached elsewhere.
const PAGE_CACHE: usize = 16 * 1024 * 1024;

/// How much the file is trusted when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Every page is read and compared with its checksum.
    Whole,
    /// What the file tells of itself counts when it was closed in order. When it was not, `redb` reads all of it anyway.
    None,
}

/// Opens the file, the first time and after a fault.
pub(super) struct OpenFile(Box<dyn Fn(Check) -> Result<Database, DatabaseError> + Send + Sync>);

impl OpenFile {
    pub fn new(open: impl Fn(Check) -> Result<Database, DatabaseError> + Send + Sync + 'static) -> Self {
        Self(Box::new(open))
    }

    /// Opens the file, trusting it so far.
    pub fn opened(&self, path: &Arc<Path>, check: Check) -> Result<Database, StoreError> {
        // redb may panic over a file that something else has changed.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = (self.0)(check).map_err(|error| not_opened(path, error))?;
            accept_format(path, &database)?;
            Ok(database)
        }));
        let panicked = |_| Err(StoreError::Damaged { path: Arc::clone(path), reason: "it cannot be read".to_owned() });
        opened.unwrap_or_else(panicked)
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenFile(..)")
    }
}

/// Opens or makes the file at `path`, readable by its owner alone.
pub(super) fn open(path: &Path, check: Check) -> Result<Database, DatabaseError> {
    let fresh = !path.exists();
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a file").into());
    }
    if found.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
        tracing::warn!(path = %path.display(), "the session store could be read by others; now only by its owner");
    }
    let database = with_backend(FileBackend::new(file)?, check)?;
    if fresh && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?; // the file's name has to outlive a power cut too
    }
    Ok(database)
}

/// The database over `backend`.
pub(super) fn with_backend(backend: impl StorageBackend, check: Check) -> Result<Database, DatabaseError> {
    let mut builder = Database::builder();
    builder.set_cache_size(PAGE_CACHE).set_check_integrity_on_open(check == Check::Whole);
    builder.create_with_backend(backend)
}

/// Makes the tables of a new file; refuses a file of another format or another program.
fn accept_format(path: &Arc<Path>, database: &Database) -> Result<(), StoreError> {
    let faulty = |error| fault(path, error);
    let found = (|| {
        let reading = database.begin_read()?;
        let names: Vec<String> = reading.list_tables()?.map(|table| table.name().to_owned()).collect();
        Ok(if names.is_empty() { None } else { Some(tables::format(&reading, &names)?) })
    })()
    .map_err(faulty)?;
    match found {
        None => tables::create(database).map_err(faulty),
        Some(Some(tables::FORMAT)) => Ok(()),
        Some(Some(other)) => {
            Err(StoreError::OtherFormat { path: Arc::clone(path), found: other.to_string(), expected: tables::FORMAT })
        }
        Some(None) => Err(StoreError::Damaged {
            path: Arc::clone(path),
            reason: "it is a database of another program".to_owned(),
        }),
    }
}

fn not_opened(path: &Arc<Path>, error: DatabaseError) -> StoreError {
    let path = Arc::clone(path);
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StoreError::InUse { path },
        DatabaseError::UpgradeRequired(found) => {
            StoreError::OtherFormat { path, found: format!("redb {found}"), expected: tables::FORMAT }
        }
        other => match redb::Error::from(other) {
            redb::Error::Io(io) if is_full(&io) => StoreError::Full { path },
            redb::Error::Io(io) if matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
                StoreError::Damaged { path, reason: io.to_string() }
            }
            redb::Error::Io(io) if io.kind() == io::ErrorKind::NotFound => {
                StoreError::NotOpened { path, reason: "its folder does not exist".to_owned() }
            }
            redb::Error::Corrupted(reason) => StoreError::Damaged { path, reason },
            other => StoreError::NotOpened { path, reason: other.to_string() },
        },
    }
}

/// What a fault of `redb` means to us.
pub(super) fn fault(path: &Arc<Path>, error: redb::Error) -> StoreError {
    let path = Arc::clone(path);
    match error {
        redb::Error::Io(io) if is_full(&io) => StoreError::Full { path },
        redb::Error::Corrupted(reason) => StoreError::Damaged { path, reason },
        other => StoreError::Broken { path, reason: other.to_string() },
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
