//! Which files are there, and which of them is which.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::super::source::Place;

/// How a file's name ends that a rotation has packed.
const PACKED: &str = ".gz";

/// What stays the same when a file gets another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FileKey {
    device: u64,
    inode: u64,
}

/// What changes when somebody writes to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    modified: Option<SystemTime>,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) key: FileKey,
    pub(super) stamp: Stamp,
}

/// The files of a place at one moment, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) files: Vec<Seen>,
    /// Those that are left out because they are packed.
    pub(super) packed: Vec<PathBuf>,
    /// Those of which nothing can be told, and why.
    pub(super) unreadable: Vec<(PathBuf, String)>,
}

impl FileKey {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

impl Looked {
    /// Looks at a place. Fails if the folder cannot be read. Blocks.
    pub(super) fn at(place: &Place) -> io::Result<Self> {
        let mut looked = Self::default();
        match place {
            Place::File(path) => looked.add(path),
            Place::Files { folder, pattern } => {
                for path in names(folder)? {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    if !name.starts_with('.') && pattern.matches(&name) {
                        looked.add(&path);
                    }
                }
            }
            // What was uploaded is whole.
            Place::Uploads(_) => {}
        }
        Ok(looked)
    }

    fn add(&mut self, path: &Path) {
        if path.to_string_lossy().ends_with(PACKED) {
            self.packed.push(path.to_owned());
            return;
        }
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => self.files.push(Seen {
                path: path.to_owned(),
                key: FileKey::of(&metadata),
                stamp: Stamp::of(&metadata),
            }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable.push((path.to_owned(), error.to_string())),
        }
    }

    /// Whether this file is at this path, or that cannot be told.
    pub(super) fn is_at(&self, key: FileKey, path: &Path) -> bool {
        let mut files = self.files.iter();
        files.any(|seen| seen.key == key && seen.path == path) || self.is_unreadable(path)
    }

    pub(super) fn is_unreadable(&self, path: &Path) -> bool {
        self.unreadable.iter().any(|(one, _)| one == path)
    }
}

/// Where in its folder a file is that had this path. Blocks.
pub(super) fn renamed(path: &Path, key: FileKey) -> io::Result<Option<PathBuf>> {
    let names = names(path.parent().unwrap_or(Path::new("")))?;
    Ok(names.into_iter().find(|path| {
        let metadata = std::fs::metadata(path);
        metadata.is_ok_and(|found| found.is_file() && FileKey::of(&found) == key)
    }))
}

fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let here = Path::new(".");
    let folder = if folder.as_os_str().is_empty() {
        here
    } else {
        folder
    };
    let paths = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}
