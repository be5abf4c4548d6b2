//! Asks a target.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;

use crate::config::worker::{ScrapeLogin, ScrapeSettings};
use crate::probe::{http_client_config, public_authorities};

/// The form that is asked for.
const TEXT: &str = "text/plain;version=0.0.4";

/// Why a target has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScrapeError {
    /// The authority is none.
    #[error("SCRAPE_CA_CERT holds no authority: {0}")]
    Authority(String),
    /// Its name has no address.
    #[error("its name cannot be resolved")]
    Unresolved(#[source] std::io::Error),
    /// It cannot be asked, or the answer broke off.
    #[error("it does not answer, or not to the end")]
    Transfer(#[source] reqwest::Error),
    /// It answers something else.
    #[error("it answers {0}")]
    Refused(u16),
    /// It answers too much.
    #[error("it answers more than {0} bytes (SCRAPE_LIMIT)")]
    TooLong(u64),
    /// It takes too long.
    #[error("it does not answer within {} s", .0.as_secs_f64())]
    Late(Duration),
}

/// Makes clients for one target each.
#[derive(Clone)]
pub(super) struct Clients {
    tls: rustls::ClientConfig,
}

impl Clients {
    pub(super) fn of(settings: &ScrapeSettings) -> Result<Self, ScrapeError> {
        let authorities = match &settings.ca_cert {
            None => public_authorities(),
            Some(pem) => authorities(pem)?,
        };
        let tls = http_client_config(authorities);
        let tls = tls.map_err(|error| ScrapeError::Authority(error.to_string()))?;
        Ok(Self { tls })
    }

    /// A client that finds the host of a URL at this address, if one is given.
    pub(super) fn client(
        &self,
        url: &Url,
        address: Option<SocketAddr>,
    ) -> Result<reqwest::Client, ScrapeError> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            // A proxy would choose the address, and would see the login.
            .no_proxy()
            // A login must not go elsewhere, and what is scraped is what is named.
            .redirect(Policy::none());
        if let (Some(address), Some(host)) = (address, url.host_str()) {
            builder = builder.resolve(host, address);
        }
        builder.build().map_err(ScrapeError::Transfer)
    }
}

fn authorities(pem: &str) -> Result<RootCertStore, ScrapeError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| ScrapeError::Authority(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| ScrapeError::Authority(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(ScrapeError::Authority("it has no certificate".to_owned()));
    }
    Ok(roots)
}

/// What a target answers: all of it, or nothing.
pub(super) async fn get(
    client: &reqwest::Client,
    url: &Url,
    settings: &ScrapeSettings,
) -> Result<Vec<u8>, ScrapeError> {
    let limit = settings.timeout;
    let asked = tokio::time::timeout(limit, ask(client, url, settings)).await;
    asked.unwrap_or(Err(ScrapeError::Late(limit)))
}

async fn ask(
    client: &reqwest::Client,
    url: &Url,
    settings: &ScrapeSettings,
) -> Result<Vec<u8>, ScrapeError> {
    // The URL is told beside the error.
    let transfer = |source: reqwest::Error| ScrapeError::Transfer(source.without_url());
    let request = client.get(url.clone()).header("accept", TEXT);
    let request = match &settings.login {
        None => request,
        Some(ScrapeLogin::Token(token)) => request.bearer_auth(token.expose()),
        Some(ScrapeLogin::Password { user, password }) => {
            request.basic_auth(user, Some(password.expose()))
        }
    };
    let mut answer = request.send().await.map_err(transfer)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(ScrapeError::Refused(answer.status().as_u16()));
    }
    let mut page = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(transfer)? {
        if (page.len() + piece.len()) as u64 > settings.limit {
            return Err(ScrapeError::TooLong(settings.limit));
        }
        page.extend_from_slice(&piece);
    }
    Ok(page)
}
