//! Which files are streamed: one, all of a folder, or those whose names match a pattern.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use glob::Pattern;

use super::super::{StreamerError, blocking};

/// How the name of a file in a folder has to end.
const ENDING: &str = "*.csv";
/// A file that was written to within this time may not be complete.
pub(super) const SETTLE: Duration = Duration::from_secs(2);

/// Where sources come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// This file.
    File(PathBuf),
    /// The files of a folder with these names; others may come.
    Files {
        /// The folder.
        folder: PathBuf,
        /// What the names look like.
        pattern: Pattern,
    },
    /// The files of a folder into which they were uploaded: their names begin with some of their
    /// digest and a hyphen.
    Uploads(PathBuf),
}

/// How a file was found: if it is found otherwise later, somebody wrote to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
}

/// The files of a place at one moment, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) files: BTreeMap<PathBuf, Stamp>,
    /// Those of them that may be incomplete.
    fresh: BTreeSet<PathBuf>,
    /// Those of which nothing can be told, and why.
    pub(super) unreadable: BTreeMap<PathBuf, String>,
}

impl Place {
    /// What a path in the settings means.
    pub(in super::super) async fn named(path: &Path) -> Result<Self, StreamerError> {
        let path = path.to_owned();
        blocking(move || Ok(Self::of(&path))).await
    }

    /// Where uploads are.
    pub(in super::super) fn uploads(folder: &Path) -> Self {
        Self::Uploads(folder.to_owned())
    }

    /// What a file is called.
    pub(super) fn name(&self, path: &Path) -> String {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy();
        let rest = match self {
            Self::Uploads(_) => name.split_once('-').map(|(_, rest)| rest.to_owned()),
            Self::File(_) | Self::Files { .. } => None,
        };
        rest.unwrap_or_else(|| name.into_owned())
    }

    /// The path as messages have it, which is also what a host is named after.
    pub(super) fn shown(&self, path: &Path) -> PathBuf {
        match self {
            Self::Uploads(_) => PathBuf::from(self.name(path)),
            Self::File(_) | Self::Files { .. } => path.to_owned(),
        }
    }

    /// Whether no other streamer has the same files.
    pub(super) const fn is_own(&self) -> bool {
        matches!(self, Self::Uploads(_))
    }

    /// What a path means: a file, a folder, or a pattern for the names in one. Blocks.
    fn of(path: &Path) -> Self {
        if path.is_dir() {
            return Self::Files {
                folder: path.to_owned(),
                pattern: Pattern::new(ENDING).unwrap_or_default(),
            };
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match Pattern::new(&name) {
            // A file may be called like a pattern.
            Ok(pattern) if name.contains(['*', '?', '[']) && !path.exists() => Self::Files {
                folder: path.parent().unwrap_or(Path::new("")).to_owned(),
                pattern,
            },
            _ => Self::File(path.to_owned()),
        }
    }

    /// The file or the folder.
    pub(in super::super) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Files { folder, .. } | Self::Uploads(folder) => folder,
        }
    }

    /// Whether a file is as it was found. A single file is what it is when it is opened.
    pub(super) fn is_still(&self, path: &Path, stamp: Stamp) -> bool {
        let found = std::fs::metadata(path);
        // If it is gone, opening it says so.
        matches!(self, Self::File(_)) || found.map_or(true, |found| Stamp::of(&found) == stamp)
    }

    /// The files that are there now. A single file counts as there and complete. Blocks.
    pub(super) fn list(&self, now: SystemTime) -> io::Result<Listed> {
        let (folder, pattern) = match self {
            Self::File(path) => {
                let stamp = Stamp::of(&std::fs::metadata(path)?);
                return Ok(Listed {
                    files: BTreeMap::from([(path.clone(), stamp)]),
                    ..Listed::default()
                });
            }
            Self::Files { folder, pattern } => (folder, pattern.clone()),
            Self::Uploads(folder) => (folder, Pattern::new(ENDING).unwrap_or_default()),
        };
        let mut listed = Listed::default();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Hidden ones are those that somebody is still writing.
            if name.starts_with('.') || !pattern.matches(&name) {
                continue;
            }
            let metadata = match std::fs::metadata(&path) {
                Ok(metadata) => metadata,
                // Gone again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    listed.unreadable.insert(path, error.to_string());
                    continue;
                }
            };
            if metadata.is_file() {
                let stamp = Stamp::of(&metadata);
                // An upload is put into place whole.
                if !self.is_own() && stamp.is_fresh(now) {
                    listed.fresh.insert(path.clone());
                }
                listed.files.insert(path, stamp);
            }
        }
        Ok(listed)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }

    /// Whether it was written to just now, by the clock of whoever wrote it.
    fn is_fresh(&self, now: SystemTime) -> bool {
        let since = self.modified.map(|modified| now.duration_since(modified));
        since.is_some_and(|since| since.map_or(true, |since| since < SETTLE))
    }
}

impl Listed {
    /// The files that are complete, in order. One that was written to just now is if it was the same
    /// at an earlier look: its writer's clock may be ahead of ours.
    pub(super) fn complete(&self, earlier: Option<&Self>) -> VecDeque<(PathBuf, Stamp)> {
        let rests = |path: &PathBuf, stamp: &Stamp| {
            earlier.is_some_and(|earlier| earlier.files.get(path) == Some(stamp))
        };
        let files = self.files.iter();
        let complete =
            files.filter(|(path, stamp)| !self.fresh.contains(*path) || rests(path, stamp));
        complete
            .map(|(path, stamp)| (path.clone(), *stamp))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, name).unwrap();
        path
    }

    fn names(listed: &Listed) -> Vec<String> {
        let names = listed.files.keys().map(|path| path.file_name().unwrap());
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn w01_a_path_is_a_file_a_folder_or_a_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in [
            "b.csv",
            "a.csv",
            ".c.csv",
            "d.csv.part",
            "e.txt",
            "a[1].csv",
        ] {
            write(folder, name);
        }
        std::fs::create_dir(folder.join("f.csv")).unwrap();
        let listed = |path: &Path| names(&Place::of(path).list(SystemTime::now()).unwrap());
        assert_eq!(listed(folder), ["a.csv", "a[1].csv", "b.csv"]);
        assert_eq!(listed(&folder.join("?.csv")), ["a.csv", "b.csv"]);
        assert_eq!(listed(&folder.join("*.txt")), ["e.txt"]);
        assert_eq!(listed(&folder.join("a[1].csv")), ["a[1].csv"]);
        assert_eq!(listed(&folder.join("none-*.csv")), [""; 0]);
        let missing = Place::of(&folder.join("none.csv")).list(SystemTime::now());
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        let missing = Place::of(&folder.join("none/*.csv")).list(SystemTime::now());
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn w01_a_file_is_complete_once_it_rests() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "a.csv");
        let place = Place::of(folder.path());
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        let fresh = place.list(modified + Duration::from_millis(1999)).unwrap();
        assert_eq!(fresh.complete(None), []);
        let rested = place.list(modified + SETTLE).unwrap();
        assert_eq!(rested.complete(None)[0].0, path);
        // Its writer's clock is ahead of ours.
        let ahead = place.list(modified - Duration::from_secs(3600)).unwrap();
        assert_eq!(ahead.complete(None), []);
        assert_eq!(ahead.complete(Some(&ahead)).len(), 1);
        std::fs::write(&path, "longer than before").unwrap();
        let changed = place.list(modified - Duration::from_secs(3600)).unwrap();
        assert_eq!(changed.complete(Some(&ahead)), []);
    }
}
