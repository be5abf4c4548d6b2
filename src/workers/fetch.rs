//! The download of a source, before the streamer starts: the whole file with the right content
//! under its name, or nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::config::worker::FetchSettings;
use crate::probe::{http_client_config, public_authorities};

/// Longest time to connect, and between two pieces of the answer.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// How often an answer may point elsewhere.
const REDIRECTS: usize = 5;
/// Bytes read from the disk at once.
const PIECE: usize = 1024 * 1024;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The file cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The authority is none.
    #[error("SOURCE_CA_CERT holds no authority: {0}")]
    Authority(String),
    /// The server cannot be asked, or the answer broke off.
    #[error("cannot download {url}")]
    Transfer {
        /// From where, without user and password.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server has no such file for us.
    #[error("{url} answers {code}")]
    Refused {
        /// From where.
        url: String,
        /// HTTP status.
        code: u16,
    },
    /// The file is longer than it may be.
    #[error("{url} has more than {limit} bytes (streamer.config.csvSource.maxSize)")]
    TooLong {
        /// From where.
        url: String,
        /// Most bytes.
        limit: u64,
    },
    /// The content is another one.
    #[error(
        "{url} has the SHA-256 {found}, not {expected}: the file changed, or \
         streamer.config.csvSource.sha256 is wrong"
    )]
    OtherContent {
        /// From where.
        url: String,
        /// What was asked for.
        expected: String,
        /// What came.
        found: String,
    },
}

/// What became of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It was there with the right content.
    Present,
    /// It was downloaded; its length in bytes.
    Downloaded(u64),
}

/// Makes the file be there. Whatever went wrong may be tried again.
///
/// # Errors
/// When it cannot be downloaded, is too long, is not what was asked for, or cannot be kept.
pub async fn run(settings: &FetchSettings) -> Result<Fetched, FetchError> {
    if digest_of(&settings.file).await?.as_deref() == Some(&*settings.sha256) {
        return Ok(Fetched::Present);
    }
    let folder = settings.file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .await
        .map_err(failed("create", folder))?;
    let part = part(&settings.file);
    let length = download(settings, &part).await;
    if length.is_err() {
        // What is left of it says nothing; that it cannot be removed either is not the reason.
        drop(fs::remove_file(&part).await);
    }
    let length = length?;
    fs::rename(&part, &settings.file)
        .await
        .map_err(failed("rename", &part))?;
    let handle = File::open(folder).await.map_err(failed("open", folder))?;
    handle.sync_all().await.map_err(failed("sync", folder))?;
    Ok(Fetched::Downloaded(length))
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> FetchError + 'a {
    move |source| FetchError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Where a file grows that is not whole yet: beside it, hidden.
fn part(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.part"))
}

/// The SHA-256 of a file, in hexadecimal digits; `None` if there is no such file.
async fn digest_of(path: &Path) -> Result<Option<String>, FetchError> {
    let mut file = match File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer).await.map_err(failed("read", path))? {
            0 => return Ok(Some(hex::encode(hash.finalize()))),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Downloads into `part`, and answers the length once the content is right and on the disk.
async fn download(settings: &FetchSettings, part: &Path) -> Result<u64, FetchError> {
    let url = named(settings);
    let transfer = |source: reqwest::Error| FetchError::Transfer {
        url: url.clone(),
        source: source.without_url(),
    };
    let too_long = || FetchError::TooLong {
        url: url.clone(),
        limit: settings.limit,
    };
    let request = client(settings)?.get(settings.url.clone());
    let mut answer = request.send().await.map_err(transfer)?;
    if !answer.status().is_success() {
        let code = answer.status().as_u16();
        return Err(FetchError::Refused { url, code });
    }
    if answer
        .content_length()
        .is_some_and(|length| length > settings.limit)
    {
        return Err(too_long());
    }
    let mut file = File::create(part).await.map_err(failed("create", part))?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    while let Some(piece) = answer.chunk().await.map_err(transfer)? {
        length += piece.len() as u64;
        if length > settings.limit {
            return Err(too_long());
        }
        hash.update(&piece);
        file.write_all(&piece)
            .await
            .map_err(failed("write", part))?;
    }
    file.flush().await.map_err(failed("write", part))?;
    let found = hex::encode(hash.finalize());
    if found != settings.sha256 {
        let expected = settings.sha256.clone();
        return Err(FetchError::OtherContent {
            url,
            expected,
            found,
        });
    }
    file.sync_all().await.map_err(failed("sync", part))?;
    Ok(length)
}

/// The URL as messages may show it: without a login and without what follows the path, which may be
/// a signature.
fn named(settings: &FetchSettings) -> String {
    let url = &settings.url;
    format!(
        "{}://{}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

fn client(settings: &FetchSettings) -> Result<reqwest::Client, FetchError> {
    let config = http_client_config(authorities(settings)?)
        .map_err(|error| FetchError::Authority(error.to_string()))?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .connect_timeout(SILENCE_LIMIT)
        .read_timeout(SILENCE_LIMIT)
        .redirect(Policy::limited(REDIRECTS))
        .build()
        .map_err(|source| FetchError::Transfer {
            url: named(settings),
            source,
        })
}

/// The given authority; the public ones, which are built in, if there is none.
fn authorities(settings: &FetchSettings) -> Result<RootCertStore, FetchError> {
    let Some(pem) = &settings.ca_cert else {
        return Ok(public_authorities());
    };
    let refused = |reason: String| FetchError::Authority(reason);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("it has no certificate".to_owned()));
    }
    Ok(roots)
}
