//! TLS of a worker's own HTTP port. Its certificate and key are files of a mounted Secret, which
//! whoever renews it replaces while the worker runs.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use sha2::{Digest as _, Sha256};
use tls_listener::{Error, TlsListener};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::model::causes::chain;
use crate::workers::vitals::Vitals;

/// Names of the files, those of a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Under which name the worker notes how the certificate is.
const DEPENDENCY: &str = "certificate";

/// How often the files are looked at. The kubelet itself brings a changed Secret within a minute
/// or two.
const LOOK: Duration = Duration::from_secs(5);

/// Pause after the operating system gave no connection, for example for want of file descriptors.
const NO_CONNECTION: Duration = Duration::from_secs(1);

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("`{}` holds no PEM {expected}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What it has to hold.
        expected: &'static str,
    },
    /// The two do not make a pair.
    #[error("{CERTIFICATE} and {KEY} in `{}` cannot be used", folder.display())]
    Pair {
        /// Where they are.
        folder: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Nobody who looks at it takes it.
    #[error("the certificate in `{}` expired at {at}", folder.display())]
    Expired {
        /// Where it is.
        folder: PathBuf,
        /// When.
        at: Timestamp,
    },
}

/// A certificate and key as they were read.
struct Read {
    pair: Arc<CertifiedKey>,
    /// When the certificate expires, if it can be read that far.
    until: Option<Timestamp>,
    /// Equal for equal files.
    digest: [u8; 32],
}

fn read(folder: &Path, provider: &CryptoProvider) -> Result<Read, TlsError> {
    let file = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|source| TlsError::File { path, source })
    };
    let not_pem = |name: &str, expected| TlsError::Pem {
        path: folder.join(name),
        expected,
    };
    let (certificate, key) = (file(CERTIFICATE)?, file(KEY)?);
    let digest = Sha256::new()
        .chain_update((certificate.len() as u64).to_le_bytes())
        .chain_update(&certificate)
        .chain_update(&key)
        .finalize()
        .into();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let certificates = certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| not_pem(CERTIFICATE, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| not_pem(KEY, "private key"))?;
    let pair = CertifiedKey::from_der(certificates, key, provider).map_err(|source| {
        let folder = folder.to_owned();
        TlsError::Pair { folder, source }
    })?;
    // A pair of which nobody can tell is not refused: some keys do not say what they belong to.
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(source) => {
            let folder = folder.to_owned();
            return Err(TlsError::Pair { folder, source });
        }
    }
    Ok(Read {
        until: pair.cert.first().and_then(until),
        pair: Arc::new(pair),
        digest,
    })
}

/// When a certificate expires.
fn until(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

/// The pair that is shown now.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pair = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&pair))
    }
}

/// What a server needs to speak TLS.
#[derive(Debug)]
pub struct ServerTls {
    pub(super) acceptor: Acceptor,
    pub(super) renewal: Renewal,
}

impl ServerTls {
    /// Reads the certificate and key of a folder.
    ///
    /// # Errors
    /// When one of them is missing, is something else, or does not belong to the other.
    pub fn from_folder(folder: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let Read { pair, digest, .. } = read(folder, &provider)?;
        let shown = Arc::new(Shown(RwLock::new(pair)));
        let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::Pair {
                folder: folder.to_owned(),
                source,
            })?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Shown>::clone(&shown);
        let mut config = versions.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: Acceptor(TlsAcceptor::from(Arc::new(config))),
            renewal: Renewal {
                folder: folder.to_owned(),
                provider,
                shown,
                digest,
            },
        })
    }
}

/// Shows a renewed certificate.
#[derive(Debug)]
pub struct Renewal {
    folder: PathBuf,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
    digest: [u8; 32],
}

impl Renewal {
    /// Shows a renewed certificate from the next connection on, until `stop`. One that is unusable
    /// is noted, and the one before it is shown further.
    pub(super) async fn follow(mut self, vitals: Vitals, stop: CancellationToken) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complaint = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let looked = self.look().map_err(|error| chain(&error));
            let found = looked.as_ref().err().cloned();
            if let Some(reason) = &found
                && found != complaint
            {
                tracing::warn!(reason, "certificate of no use");
            }
            complaint = found;
            vitals.advisory(DEPENDENCY, looked);
        }
    }
}

impl Renewal {
    /// Shows the certificate that is in the folder now; one that has expired, too: the one before it
    /// is no better.
    fn look(&mut self) -> Result<(), TlsError> {
        let found = read(&self.folder, &self.provider)?;
        if found.digest != self.digest {
            self.digest = found.digest;
            *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = found.pair;
            tracing::info!(folder = %self.folder.display(), "renewed certificate in use");
        }
        match found.until.filter(|until| *until < Timestamp::now()) {
            Some(at) => {
                let folder = self.folder.clone();
                Err(TlsError::Expired { folder, at })
            }
            None => Ok(()),
        }
    }
}

/// Shakes hands with clients.
#[derive(Clone)]
pub struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Acceptor")
    }
}

impl Acceptor {
    /// Connections of a listener, once they have shaken hands.
    pub(super) fn listen(self, listener: TcpListener) -> Secured {
        Secured(TlsListener::new(self.0, listener))
    }
}

/// A listener whose connections have shaken hands.
pub(super) struct Secured(TlsListener<TcpListener, TlsAcceptor>);

impl axum::serve::Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.0.accept().await {
                Ok(connection) => return connection,
                Err(Error::ListenerError(error)) => {
                    tracing::warn!(%error, "no connection accepted");
                    tokio::time::sleep(NO_CONNECTION).await;
                }
                // Whoever only looks whether the port is open, as load balancers do, does not
                // shake hands.
                Err(error) => tracing::debug!(%error, "no TLS handshake"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n19_an_expired_certificate_is_shown_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |until: i32| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut parameters = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
            parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
            let certificate = parameters.self_signed(&key).unwrap();
            std::fs::write(folder.path().join(CERTIFICATE), certificate.pem()).unwrap();
            std::fs::write(folder.path().join(KEY), key.serialize_pem()).unwrap();
        };
        write(2001);
        let mut renewal = ServerTls::from_folder(folder.path()).unwrap().renewal;
        let error = renewal.look().unwrap_err().to_string();
        assert!(
            error.ends_with("expired at 2001-01-01T00:00:00Z"),
            "{error}"
        );
        write(2999);
        renewal.look().unwrap();
    }
}
