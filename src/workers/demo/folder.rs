//! The folder that a demo works in.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::DemoError;

/// A folder of the demo, or one that the user gave. Blocks on the disk.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Kept,
    Removed,
}

impl Folder {
    /// A folder that stays; made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn given(path: &Path) -> Result<Self, DemoError> {
        Self::make(path.to_owned(), End::Kept)
    }

    /// A new folder within `parent` that only this user can read. It goes with this value.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary(parent: &Path) -> Result<Self, DemoError> {
        let name = format!("telectl-demo-{:016x}", rand::random::<u64>());
        Self::make(parent.join(name), End::Removed)
    }

    fn make(path: PathBuf, end: End) -> Result<Self, DemoError> {
        match DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path, end }),
            Err(source) => Err(DemoError::File {
                action: "make the folder",
                path,
                source,
            }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.end == End::Removed
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the demo's folder");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Folder;

    #[test]
    fn only_a_folder_of_the_demo_itself_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let temporary = Folder::temporary(parent.path()).unwrap();
        let path = temporary.path().to_owned();
        std::fs::write(path.join("file"), "x").unwrap();
        drop(temporary);
        assert!(!path.exists());
        let path = parent.path().join("given/deep");
        drop(Folder::given(&path).unwrap());
        assert!(path.exists());
    }
}
