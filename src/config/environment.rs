//! What a configuration may look at besides its own text: environment variables and files.

use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

use zeroize::Zeroizing;

/// The most that is read of a file: certificates and secrets are small, and `/dev/zero` is not.
const MOST: u64 = 1024 * 1024;

/// The outside world of a configuration.
pub trait Environment {
    /// The environment variable of that name, when it is set and is text.
    fn variable(&self, name: &str) -> Option<Zeroizing<String>>;

    /// A whole file.
    ///
    /// # Errors
    /// When there is none, it may not be read, or it is larger than 1 MiB.
    fn read(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>>;
}

/// This process and this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<Zeroizing<String>> {
        std::env::var(name).ok().map(Zeroizing::new)
    }

    fn read(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(Vec::new());
        std::fs::File::open(path)?.take(MOST.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MOST {
            return Err(Error::new(ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
        }
        Ok(bytes)
    }
}

/// Why a file could not be read, as a sentence's end.
pub(super) fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        ErrorKind::FileTooLarge => "it is larger than 1 MiB".to_owned(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let small = folder.path().join("small");
        std::fs::write(&small, "text").unwrap();
        assert_eq!(ProcessEnvironment.read(&small).unwrap().as_slice(), b"text");
        let missing = ProcessEnvironment.read(&folder.path().join("missing")).unwrap_err();
        assert_eq!(reason(&missing), "there is no such file");
        let endless = ProcessEnvironment.read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(reason(&endless), "it is larger than 1 MiB");
    }
}
