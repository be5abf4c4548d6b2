//! Files that are uploaded to a streamer.
//!
//! An upload is answered once the file is whole and durable on the spool's volume. From then on it is
//! a source like any other, of this streamer alone. It stays there after it was stored, so that
//! another store gets it again, until its room is needed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::config::worker::UploadSettings;
use crate::model::source::SourceId;
use crate::workers::runtime::token::Token;

mod receive;
mod route;

pub use route::router;

/// Folder beside the spool's files.
const FOLDER: &str = "uploads";
/// How the name of a file begins that is not whole yet.
const PARTIAL: &str = ".receiving-";
/// Uploads at once.
const AT_ONCE: usize = 4;

/// What was uploaded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Uploads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    limit: u64,
    total: u64,
    token: Option<Token>,
    slots: Semaphore,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the file's name in the folder: digest, hyphen, the name it was uploaded under.
    files: BTreeMap<String, Upload>,
    /// Bytes of those that are not whole yet.
    receiving: u64,
}

#[derive(Debug)]
struct Upload {
    size: u64,
    since: SystemTime,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// It was not read yet.
    Waiting,
    /// Its batches are in the spool.
    Read(SourceId),
    /// All of it was acknowledged.
    Stored,
    /// It cannot be streamed.
    Refused(String),
}

impl Uploads {
    /// Finds what was uploaded earlier; what was not whole is removed. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(settings: &UploadSettings, spool: &Path) -> io::Result<Self> {
        let folder = spool.join(FOLDER);
        fs::create_dir_all(&folder)?;
        // A file in it is promised to be there after a power cut.
        File::open(spool)?.sync_all()?;
        let mut inner = Inner::default();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(PARTIAL) {
                fs::remove_file(entry.path())?;
                continue;
            }
            let metadata = entry.metadata()?;
            let upload = Upload {
                size: metadata.len(),
                since: metadata.modified()?,
                state: State::Waiting,
            };
            inner.files.insert(name, upload);
        }
        Ok(Self(Arc::new(Shared {
            folder,
            limit: settings.limit,
            total: settings.total,
            token: settings.token.as_ref().map(Token::new),
            slots: Semaphore::new(AT_ONCE),
            inner: Mutex::new(inner),
        })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut inner)
    }

    fn set(&self, path: &Path, state: State) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.with(|inner| {
            if let Some(upload) = inner.files.get_mut(&*name) {
                upload.state = state;
            }
        });
    }

    /// Where they are.
    pub(super) fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Takes note that a file is in the spool as a whole.
    pub(super) fn read(&self, path: &Path, source: &SourceId) {
        self.set(path, State::Read(source.clone()));
    }

    /// Takes note that a file cannot be streamed.
    pub(super) fn refused(&self, path: &Path, why: &str) {
        self.set(path, State::Refused(why.to_owned()));
    }

    /// Takes note that all of them are read once more.
    pub(super) fn wait_again(&self) {
        self.with(|inner| {
            for upload in inner.files.values_mut() {
                upload.state = State::Waiting;
            }
        });
    }

    /// Takes note of what was acknowledged: of which sources nothing is in the spool any more.
    pub(super) fn settle(&self, is_in_spool: impl Fn(&SourceId) -> bool) {
        self.with(|inner| {
            for upload in inner.files.values_mut() {
                if matches!(&upload.state, State::Read(source) if !is_in_spool(source)) {
                    upload.state = State::Stored;
                }
            }
        });
    }

    /// Every upload, for whoever asks.
    fn told(&self) -> Vec<Value> {
        self.with(|inner| inner.files.iter().map(told).collect())
    }

    /// Makes room for so many bytes more by removing what was stored longest ago; `false` if there
    /// is none. Blocks.
    fn reserve(&self, bytes: u64) -> io::Result<bool> {
        let total = self.0.total;
        self.with(|inner| {
            while inner.used().saturating_add(bytes) > total {
                let Some(name) = inner.oldest_stored() else {
                    return Ok(false);
                };
                fs::remove_file(self.0.folder.join(&name))?;
                tracing::info!(file = name, "a stored upload was removed to make room");
                inner.files.remove(&name);
            }
            inner.receiving += bytes;
            Ok(true)
        })
    }

    fn release(&self, bytes: u64) {
        self.with(|inner| inner.receiving = inner.receiving.saturating_sub(bytes));
    }

    /// Puts a file into place that is whole and durable. Blocks.
    fn place(&self, partial: &Path, name: &str, size: u64) -> io::Result<()> {
        self.with(|inner| {
            let known = inner.files.get(name);
            if known.is_some_and(|known| !matches!(known.state, State::Refused(_))) {
                // The same content under the same name: it is there already.
                fs::remove_file(partial)?;
            } else {
                // One that could not be read is read again: it is another file now.
                fs::rename(partial, self.0.folder.join(name))?;
                let upload = Upload {
                    size,
                    since: SystemTime::now(),
                    state: State::Waiting,
                };
                inner.files.insert(name.to_owned(), upload);
            }
            // Also if it was there: whoever put it there may not have come to this.
            File::open(&self.0.folder)?.sync_all()
        })
    }
}

impl Inner {
    fn used(&self) -> u64 {
        let kept: u64 = self.files.values().map(|upload| upload.size).sum();
        kept + self.receiving
    }

    fn oldest_stored(&self) -> Option<String> {
        let stored = self.files.iter();
        let stored = stored.filter(|(_, upload)| upload.state == State::Stored);
        let oldest = stored.min_by_key(|(_, upload)| upload.since)?;
        Some(oldest.0.clone())
    }
}

/// What an upload is asked for by: the same content may be there under several names.
fn file_id(kept: &str) -> String {
    let digest = Sha256::digest(kept.as_bytes());
    hex::encode(&digest[..16])
}

fn told((name, upload): (&String, &Upload)) -> Value {
    let id = file_id(name);
    let (digest, name) = name.split_once('-').unwrap_or(("", name));
    let (status, detail) = match &upload.state {
        State::Waiting => ("accepted", None),
        State::Read(_) => ("read", None),
        State::Stored => ("stored", None),
        State::Refused(why) => ("refused", Some(why)),
    };
    json!({
        "file_id": id,
        "filename": name,
        "sha256": digest,
        "size": upload.size,
        "status": status,
        "detail": detail,
    })
}
