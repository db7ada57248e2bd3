//! Passwords that an operator gives for customers: rows of an import, read, and on their way to the running gateway.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::customer::is_password;
use crate::email::EmailAddress;
use crate::secret::Secret;

/// The most bytes of one import.
pub const LARGEST: usize = 8 * 1024 * 1024;

/// One row: whose password it is, and the password; `None` to forget the one that is kept.
#[derive(Clone)]
pub struct ImportRow {
    /// The customer's address at the upstream.
    pub email: EmailAddress,
    /// Their password there.
    pub password: Option<Secret>,
}

/// A row as it is written: one JSON object on one line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    email: String,
    #[serde(deserialize_with = "there")]
    password: Option<String>,
}

/// `null` is written out: a row that lacks the password is a mistake.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

#[derive(Serialize)]
struct Writing<'a> {
    email: &'a str,
    password: Option<&'a str>,
}

/// What is wrong with a row. It tells the line, and nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRow {
    /// It is not of the form.
    #[error("line {0}: not a JSON object with \"email\" and \"password\", and nothing else")]
    Form(usize),
    /// The address is none.
    #[error("line {0}: \"email\" is not an e-mail address")]
    Email(usize),
    /// The password can be none.
    #[error("line {0}: \"password\" is neither null nor one line of text of at most 512 bytes")]
    Password(usize),
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Whose.
    pub email: String,
    /// What became of it.
    pub result: ImportResult,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportResult {
    /// It is kept.
    Kept,
    /// A login has proven it, and it is kept.
    Proven,
    /// The one that was kept is forgotten.
    Forgotten,
    /// None was kept.
    NothingKept,
    /// No customer of the upstream has the address.
    Unknown,
    /// It is not kept.
    Failed(String),
}

impl ImportResult {
    /// Whether it is as the operator wanted it.
    pub fn is_done(&self) -> bool {
        !matches!(self, Self::Unknown | Self::Failed(_))
    }
}

impl fmt::Display for ImportResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Proven => f.write_str("proven by a login, and kept"),
            Self::Forgotten => f.write_str("forgotten"),
            Self::NothingKept => f.write_str("there was none"),
            Self::Unknown => f.write_str("not kept: no customer has this address"),
            Self::Failed(why) => write!(f, "not kept: {why}"),
        }
    }
}

/// Reads rows, one on each line; empty lines do not count.
///
/// # Errors
/// Every row that cannot be read.
pub fn read(text: &str) -> Result<Vec<ImportRow>, Vec<InvalidRow>> {
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match row(line, index.saturating_add(1)) {
            Ok(row) => rows.push(row),
            Err(fault) => wrong.push(fault),
        }
    }
    if wrong.is_empty() { Ok(rows) } else { Err(wrong) }
}

fn row(line: &str, number: usize) -> Result<ImportRow, InvalidRow> {
    let Written { email, password } = serde_json::from_str(line).map_err(|_| InvalidRow::Form(number))?;
    let password = password.map(Secret::generated);
    let email = EmailAddress::parse(email.trim()).map_err(|_| InvalidRow::Email(number))?;
    match &password {
        Some(password) if !is_password(password.reveal()) => Err(InvalidRow::Password(number)),
        _ => Ok(ImportRow { email, password }),
    }
}

/// Writes what [`read`] reads. Wiped when dropped.
pub fn write(rows: &[ImportRow]) -> Zeroizing<Vec<u8>> {
    let most = rows.iter().map(|row| row.password.as_ref().map_or(0, |password| password.reveal().len()));
    // Room for every letter escaped: growing would leave copies behind.
    let room = most.fold(rows.len().saturating_mul(400), |sum, length| sum.saturating_add(length.saturating_mul(6)));
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    for row in rows {
        let password = row.password.as_ref().map(Secret::reveal);
        // Texts always are JSON.
        let _ = serde_json::to_writer(&mut *text, &Writing { email: row.email.as_str(), password });
        text.push(b'\n');
    }
    text
}

impl fmt::Debug for ImportRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImportRow({})", self.email)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_written() {
        let text = "{\"email\":\"Ana@acme.com\",\"password\":\"pa\\\"ss, word\"}\n\n {\"password\":null,\"email\":\"ben@acme.com\"} \n";
        let rows = read(text).unwrap();
        let told = |rows: &[ImportRow]| -> Vec<(String, Option<String>)> {
            let password = |row: &ImportRow| row.password.as_ref().map(|password| password.reveal().to_owned());
            rows.iter().map(|row| (row.email.to_string(), password(row))).collect()
        };
        assert_eq!(rows.len(), 2);
        assert_eq!(told(&rows)[0].1.as_deref(), Some("pa\"ss, word"));
        assert_eq!(told(&rows)[1], ("ben@acme.com".to_owned(), None));
        let again = read(std::str::from_utf8(&write(&rows)).unwrap()).unwrap();
        assert_eq!(told(&again), told(&rows));
        assert!(!format!("{rows:?}").contains("word"));
    }

    #[test]
    fn every_wrong_row_is_told_by_its_line_and_no_more() {
        let text = [
            "{\"email\":\"ana@acme.com\",\"password\":\"good\"}",
            "ana@acme.com,hunter2",
            "{\"email\":\"nobody\",\"password\":\"hunter2\"}",
            "{\"email\":\"ana@acme.com\",\"password\":\"\"}",
            "{\"email\":\"ana@acme.com\",\"password\":\"hunter2\\nhunter3\"}",
            "{\"email\":\"ana@acme.com\"}",
            "{\"email\":\"ana@acme.com\",\"password\":\"hunter2\",\"role\":\"admin\"}",
        ];
        let wrong = read(&text.join("\n")).unwrap_err();
        use InvalidRow::{Email, Form, Password};
        assert_eq!(wrong, [Form(2), Email(3), Password(4), Password(5), Form(6), Form(7)]);
        assert!(wrong.iter().all(|fault| !fault.to_string().contains("hunter")));
    }
}
