//! A disk in memory that forgets what was not synced.
//!
//! What a power cut takes is chosen by [`Loses`]: of every file what was not synced, or some of it
//! (also with holes where the length was written and the content was not), and every name that was
//! made, renamed or removed without a sync of its folder, each for itself, in no order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile, Lock, Mode};

/// What of that which was not synced is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loses {
    /// All.
    Everything,
    /// Some, as these numbers have it.
    Some(u64),
}

/// A disk below a folder of its own. Cheap to clone; gone with the last [`Mounted`].
#[derive(Debug, Clone, Default)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

/// Makes a disk known to [`super::disk::of`].
#[derive(Debug)]
pub(crate) struct Mounted {
    root: PathBuf,
}

#[derive(Debug, Clone, Default)]
struct State {
    folders: BTreeMap<PathBuf, Folder>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
    locked: BTreeSet<PathBuf>,
    /// Handles of an earlier life are of no use.
    life: u64,
    /// Operations until the power fails.
    left: Option<u64>,
    is_off: bool,
    is_full: bool,
    changes: u64,
}

#[derive(Debug, Clone, Default)]
struct Folder {
    /// Whether the folder itself survives a power cut.
    is_kept: bool,
    names: BTreeMap<PathBuf, u64>,
    kept_names: BTreeMap<PathBuf, u64>,
    changes: Vec<Change>,
}

/// What was done to the names of a folder since it was synced.
#[derive(Debug, Clone)]
enum Change {
    Made(PathBuf, u64),
    Removed(PathBuf),
    Renamed(PathBuf, PathBuf, u64),
}

#[derive(Debug, Clone, Default)]
struct Content {
    now: Vec<u8>,
    kept: Vec<u8>,
}

static MOUNTED: Mutex<BTreeMap<PathBuf, SimulatedDisk>> = Mutex::new(BTreeMap::new());
static NEXT_ROOT: AtomicU64 = AtomicU64::new(0);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The simulated disk that a folder is on.
pub(super) fn mounted(folder: &Path) -> Option<SimulatedDisk> {
    let root = folder.ancestors();
    let mounted = lock(&MOUNTED);
    root.map(Path::to_owned)
        .find_map(|root| mounted.get(&root).cloned())
}

impl Mounted {
    /// The folder under which the disk is found.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        lock(&MOUNTED).remove(&self.root);
    }
}

impl SimulatedDisk {
    /// Makes it known under a new root. The names on it are those below its roots, so that a copy
    /// has the same content.
    pub(crate) fn mount(&self) -> Mounted {
        let number = NEXT_ROOT.fetch_add(1, Ordering::Relaxed);
        let root = PathBuf::from(format!("/simulated-disk/{number}"));
        lock(&MOUNTED).insert(root.clone(), self.clone());
        Mounted { root }
    }

    /// Another disk with the same content that nobody has open.
    pub(crate) fn copy(&self) -> Self {
        let mut state = self.state().clone();
        state.locked.clear();
        (state.left, state.is_off, state.is_full) = (None, false, false);
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// How often something on it changed.
    pub(crate) fn changes(&self) -> u64 {
        self.state().changes
    }

    /// The process is gone that used it.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.life += 1;
        state.locked.clear();
        (state.left, state.is_off) = (None, false);
    }

    /// The power fails: the process is gone, and what was not synced with it.
    pub(crate) fn cut(&self, loses: Loses) {
        self.kill();
        let mut state = self.state();
        let mut fate = Numbers(match loses {
            Loses::Everything => None,
            Loses::Some(seed) => Some(seed),
        });
        state.folders.retain(|_, folder| folder.is_kept);
        for folder in state.folders.values_mut() {
            folder.cut(&mut fate);
        }
        for content in state.files.values_mut() {
            content.cut(&mut fate);
        }
        state.changes += 1;
    }

    /// The power fails in the midst of an operation, after so many others, or not any more. If it
    /// did, [`Self::cut`] has to follow.
    pub(crate) fn fail_after(&self, operations: Option<u64>) {
        self.state().left = operations;
    }

    /// Whether the power has failed.
    pub(crate) fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// From now on it has no room, or has room again.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }
}

/// Chosen by a seed; without one always 0, which loses.
struct Numbers(Option<u64>);

impl Numbers {
    /// From 0 to `limit`, both included.
    fn up_to(&mut self, limit: u64) -> u64 {
        let Some(state) = &mut self.0 else { return 0 };
        // SplitMix64.
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % (limit + 1)
    }

    fn is_lost(&mut self) -> bool {
        self.up_to(1) == 0
    }
}

impl Folder {
    fn cut(&mut self, fate: &mut Numbers) {
        for change in std::mem::take(&mut self.changes) {
            if fate.is_lost() {
                continue;
            }
            match change {
                Change::Made(name, file) => {
                    self.kept_names.insert(name, file);
                }
                Change::Removed(name) => {
                    self.kept_names.remove(&name);
                }
                Change::Renamed(from, to, file) => {
                    self.kept_names.remove(&from);
                    self.kept_names.insert(to, file);
                }
            }
        }
        self.names = self.kept_names.clone();
    }
}

impl Content {
    fn cut(&mut self, fate: &mut Numbers) {
        let common = self.now.iter().zip(&self.kept);
        let common = common.take_while(|(now, kept)| now == kept).count();
        let is_appended = common == self.kept.len();
        if is_appended {
            let length = common as u64 + fate.up_to((self.now.len() - common) as u64);
            self.now.truncate(length as usize);
            // The length was written, and the content was not.
            let holes = fate.up_to((self.now.len() - common) as u64) as usize;
            if fate.up_to(3) == 1 {
                let from = self.now.len() - holes;
                self.now[from..].fill(0);
            }
        } else if fate.is_lost() {
            self.now.clone_from(&self.kept);
        }
        self.kept.clone_from(&self.now);
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    /// Counts an operation; `Err` if the power has failed, in it or before. Its effect may still
    /// have begun.
    fn operate(&mut self) -> io::Result<()> {
        if self.left == Some(0) {
            self.is_off = true;
        }
        if self.is_off {
            return Err(io::Error::other("the power has failed"));
        }
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }

    fn change(&mut self) -> io::Result<()> {
        self.operate()?;
        self.changes += 1;
        Ok(())
    }

    fn folder(&mut self, path: &Path) -> io::Result<(&mut Folder, PathBuf)> {
        let name = PathBuf::from(path.file_name().ok_or_else(not_found)?);
        let folder = path
            .parent()
            .and_then(|folder| self.folders.get_mut(&key(folder)));
        Ok((folder.ok_or_else(not_found)?, name))
    }

    fn make(&mut self, path: &Path) -> io::Result<u64> {
        let file = self.next_file;
        let (folder, name) = self.folder(path)?;
        folder.names.insert(name.clone(), file);
        folder.changes.push(Change::Made(name, file));
        self.files.insert(file, Content::default());
        self.next_file += 1;
        Ok(file)
    }

    fn file(&mut self, path: &Path) -> io::Result<u64> {
        let (folder, name) = self.folder(path)?;
        folder.names.get(&name).copied().ok_or_else(not_found)
    }
}

/// Copies have the same names: the root is left out.
fn key(folder: &Path) -> PathBuf {
    folder.iter().skip(3).collect()
}

impl Disk for SimulatedDisk {
    fn create_folder(&self, folder: &Path) -> io::Result<bool> {
        let mut state = self.state();
        state.operate()?;
        let folder = key(folder);
        let root = state.folders.entry(PathBuf::new()).or_default();
        root.is_kept = true;
        let is_new = !state.folders.contains_key(&folder);
        state.folders.entry(folder).or_default();
        Ok(is_new)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.state();
        state.operate()?;
        let found = state.folders.get(&key(folder)).ok_or_else(not_found)?;
        Ok(found.names.keys().map(|name| folder.join(name)).collect())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let folder = key(folder);
        for (path, inside) in &mut state.folders {
            inside.is_kept |= path.parent() == Some(&folder);
        }
        let found = state.folders.get_mut(&folder).ok_or_else(not_found)?;
        found.kept_names.clone_from(&found.names);
        found.changes.clear();
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, TryLockError> {
        let mut state = self.state();
        state.operate().map_err(TryLockError::Error)?;
        if state.file(path).is_err() {
            state.make(path).map_err(TryLockError::Error)?;
        }
        if !state.locked.insert(key(path)) {
            return Err(TryLockError::WouldBlock);
        }
        let held = Held {
            disk: self.clone(),
            life: state.life,
            path: key(path),
        };
        Ok(Box::new(held))
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.change()?;
        let found = state.file(path).ok();
        let file = match (mode, found) {
            (Mode::New, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Mode::Existing, None) => return Err(not_found()),
            (_, Some(file)) => file,
            (_, None) => state.make(path)?,
        };
        if mode == Mode::Empty
            && let Some(content) = state.files.get_mut(&file)
        {
            content.now.clear();
        }
        Ok(Box::new(Handle {
            disk: self.clone(),
            life: state.life,
            file,
        }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.operate()?;
        let file = state.file(path)?;
        let content = state.files.get(&file).ok_or_else(not_found)?;
        Ok(content.now.clone())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let file = state.file(from)?;
        let (folder, from) = state.folder(from)?;
        let to = PathBuf::from(to.file_name().ok_or_else(not_found)?);
        folder.names.remove(&from);
        folder.names.insert(to.clone(), file);
        folder.changes.push(Change::Renamed(from, to, file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let (folder, name) = state.folder(path)?;
        folder.names.remove(&name).ok_or_else(not_found)?;
        folder.changes.push(Change::Removed(name));
        Ok(())
    }
}

#[derive(Debug)]
struct Held {
    disk: SimulatedDisk,
    life: u64,
    path: PathBuf,
}

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locked.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct Handle {
    disk: SimulatedDisk,
    life: u64,
    file: u64,
}

impl Handle {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut State, &mut Content) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(io::Error::other("its process is gone"));
        }
        let mut content = state.files.remove(&self.file).ok_or_else(not_found)?;
        let worked = work(&mut state, &mut content);
        state.files.insert(self.file, content);
        worked
    }
}

impl DiskFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|state, content| {
            if state.is_full {
                content.now.extend_from_slice(&bytes[..bytes.len() / 2]);
                return Err(io::ErrorKind::StorageFull.into());
            }
            // Also if the power fails in it: some of it may be there.
            if !state.is_off {
                content.now.extend_from_slice(bytes);
            }
            state.change()
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state, content| {
            state.operate()?;
            content.kept.clone_from(&content.now);
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|state, content| {
            state.operate()?;
            Ok(content.now.len() as u64)
        })
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.with(|state, content| {
            state.change()?;
            content.now.resize(length as usize, 0);
            Ok(())
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|state, content| {
            state.operate()?;
            let from = content.now.get(offset as usize..).unwrap_or_default();
            let read = from.len().min(buffer.len());
            buffer[..read].copy_from_slice(&from[..read]);
            Ok(read)
        })
    }
}
