//! Everything that a spool does to a disk, so that a test's disk can forget what was not synced.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Made; it must not be there.
    New,
    /// Made, or emptied.
    Empty,
    /// To append; made if it is not there.
    Append,
    /// To read and append; it has to be there.
    Existing,
}

/// A disk. Only what was synced survives a power cut: content by [`DiskFile::sync`], names by
/// [`Disk::sync_folder`].
pub(super) trait Disk: Debug + Send + Sync {
    /// Makes a folder; `false` if it is there. The one above has to be there.
    fn create_folder(&self, folder: &Path) -> io::Result<bool>;
    /// The files of a folder.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes the names in a folder survive a power cut.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Locks a file, which is made, for as long as the answer lives.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, TryLockError>;
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>>;
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// An open file. What is written to it is appended.
pub(super) trait DiskFile: Debug + Send + Sync {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes its content survive a power cut.
    fn sync(&self) -> io::Result<()>;
    fn length(&self) -> io::Result<u64>;
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Reads what there is from an offset on, possibly less than fits.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// Held until it is dropped.
pub(super) trait Lock: Debug + Send + Sync {}

/// The disk that a folder is on.
pub(super) fn of(folder: &Path) -> Arc<dyn Disk> {
    #[cfg(test)]
    if let Some(simulated) = super::simulated::mounted(folder) {
        return Arc::new(simulated);
    }
    #[cfg(not(test))]
    let _ = folder;
    Arc::new(Local)
}

/// The machine's own.
#[derive(Debug)]
struct Local;

impl Disk for Local {
    fn create_folder(&self, folder: &Path) -> io::Result<bool> {
        match fs::create_dir(folder) {
            // Also if it is a mount point that cannot be written to, or `/`.
            Err(_) if folder.is_dir() => Ok(false),
            made => made.map(|()| true),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        paths.collect()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, TryLockError> {
        let file = File::create(path).map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        match mode {
            Mode::New => options.read(true).append(true).create_new(true),
            Mode::Empty => options.write(true).create(true).truncate(true),
            Mode::Append => options.append(true).create(true),
            Mode::Existing => options.read(true).append(true),
        };
        Ok(Box::new(options.open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

impl Lock for File {}

impl DiskFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }
}

/// Reads a file from some offset on.
pub(super) struct Reader<'a> {
    file: &'a dyn DiskFile,
    offset: u64,
}

impl<'a> Reader<'a> {
    pub(super) const fn of(file: &'a dyn DiskFile) -> Self {
        Self::from(file, 0)
    }

    pub(super) const fn from(file: &'a dyn DiskFile, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
