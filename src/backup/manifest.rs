//! The proof beside a dump, as a file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::parity::Parity;
use super::{BackupError, about};

/// Version of this form; fields are only ever added.
pub(super) const SCHEMA_VERSION: u32 = 1;
/// What stands behind a dump's name in the name of its proof.
pub const MANIFEST_SUFFIX: &str = ".proof.json";

/// What is known about a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub schema_version: u32,
    /// Version of the program that took the dump.
    pub telectl_version: String,
    /// Version of the server, as it says it.
    pub postgresql_version: String,
    /// Its major version.
    pub postgresql_major: u32,
    /// Name of the database.
    pub database: String,
    /// When the snapshot was taken, by the server's clock (RFC 3339).
    pub taken_at: String,
    /// The token in the database that was dumped; a restore writes another one.
    pub store_token: Option<String>,
    /// Version of telectl's schema.
    pub store_schema: i32,
    /// The file.
    pub dump: DumpFile,
    /// What the snapshot held.
    pub proof: Parity,
}

/// A dump as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpFile {
    /// Its name when it was taken.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Where the proof of a dump is.
    pub fn path_of(dump: &Path) -> PathBuf {
        let mut name = dump.as_os_str().to_owned();
        name.push(MANIFEST_SUFFIX);
        name.into()
    }

    /// The proof beside a dump; `None` if there is none.
    pub(super) fn beside(dump: &Path) -> Result<Option<Self>, BackupError> {
        let file = Self::path_of(dump);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(about(&file, "read")(error)),
        };
        let unusable = |reason: String| BackupError::Manifest {
            file: file.clone(),
            reason,
        };
        let read: Self =
            serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        if read.schema_version > SCHEMA_VERSION {
            return Err(unusable(format!(
                "it has form {}, and this program knows up to {SCHEMA_VERSION}: telectl {} wrote it",
                read.schema_version, read.telectl_version
            )));
        }
        Ok(Some(read))
    }

    /// As it is written.
    pub(super) fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}
