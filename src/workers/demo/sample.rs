//! The sample: a real DCGM export, in this binary.

use std::path::{Path, PathBuf};

use super::DemoError;

/// Its file name, which is part of the source's identity.
pub const NAME: &str = "dcgm_metrics_20250718_134233.csv";

/// Its bytes: 2,470 rows of 247 GPUs on 31 hosts.
pub const BYTES: &[u8] = include_bytes!("../../../tests/data/dcgm_metrics_20250718_134233.csv");

/// Writes the sample into a folder and answers where. Blocks on the disk.
///
/// # Errors
/// When it cannot be written.
pub fn write_into(folder: &Path) -> Result<PathBuf, DemoError> {
    let path = folder.join(NAME);
    match std::fs::write(&path, BYTES) {
        Ok(()) => Ok(path),
        Err(source) => Err(DemoError::File {
            action: "write",
            path,
            source,
        }),
    }
}
