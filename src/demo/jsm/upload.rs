//! Files on their way in.

use axum::extract::multipart::Field;
use bytes::Bytes;

use super::problem::Problem;

/// A file that was uploaded and belongs to no request yet.
pub struct TemporaryFile {
    /// Who sent it, as the site names people.
    pub owner: String,
    /// The name of the file.
    pub name: String,
    /// Its media type, as its sender said.
    pub media_type: String,
    /// The file.
    pub bytes: Bytes,
}

/// A file of a form; `None` for a file field that was left empty.
pub async fn file_of(field: Field<'_>, owner: &str) -> Result<Option<TemporaryFile>, Problem> {
    let name = field.file_name().unwrap_or_default().to_owned();
    let media_type = field.content_type().unwrap_or("application/octet-stream").to_owned();
    let bytes: Bytes = field.bytes().await.map_err(|_| Problem::bad("The upload could not be read."))?;
    let plain = !name.contains(['/', '\\']) && !name.chars().any(char::is_control);
    match (name.is_empty(), plain) {
        (true, _) => Ok(None),
        (false, false) => Err(Problem::bad("The name of the file is not allowed.")),
        (false, true) => Ok(Some(TemporaryFile { owner: owner.to_owned(), name, media_type, bytes })),
    }
}
