//! One exporter.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};
use url::Url;

use crate::config::worker::ScrapeTarget;
use crate::model::causes::chain;
use crate::model::source::{PassId, SourceId};

use super::super::csv::Limits;
use super::client::{Clients, ScrapeError};
use super::page::Pages;

/// Keeps the digest of a URL apart from that of a file with this content.
const DOMAIN: &[u8] = b"telectl scraped URL\0";

pub(super) struct Target {
    /// The URL that the settings name.
    pub(super) named: Url,
    /// The same, or with the address in the place of the name.
    pub(super) url: Url,
    pub(super) address: Option<SocketAddr>,
    pub(super) client: reqwest::Client,
    pub(super) source: SourceId,
    pub(super) pass: PassId,
    /// Bytes of the answers of this pass so far.
    pub(super) offset: u64,
    pub(super) rows: u64,
    pub(super) pages: Pages,
    pub(super) is_mine: bool,
    /// Why the last scrape failed, if it did.
    pub(super) failure: Option<String>,
    is_known: bool,
}

/// Targets by what they are called: which URL to ask at which address.
type Addresses = BTreeMap<String, (Url, Option<SocketAddr>)>;

/// Where a target is now: at its URL, or at every address of its name.
pub(super) async fn addresses(target: &ScrapeTarget) -> Result<Addresses, ScrapeError> {
    let url = &target.url;
    if !target.each_address {
        return Ok(BTreeMap::from([(url.to_string(), (url.clone(), None))]));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or_default();
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(ScrapeError::Unresolved)?;
    Ok(found
        .filter_map(|address| {
            let mut named = url.clone();
            named.set_ip_host(address.ip()).ok()?;
            Some((named.to_string(), (url.clone(), Some(address))))
        })
        .collect())
}

impl Target {
    pub(super) fn of(
        (name, url, address): (&str, &Url, Option<SocketAddr>),
        clients: &Clients,
        cluster: &str,
        limits: &Limits,
    ) -> Result<Self, ScrapeError> {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(name.as_bytes());
        let host = match address {
            Some(address) => address.ip().to_string(),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        Ok(Self {
            named: url.clone(),
            url: url.clone(),
            address,
            client: clients.client(url, address)?,
            source: SourceId {
                cluster: cluster.to_owned(),
                name: name.to_owned(),
                digest: hex::encode(hash.finalize()),
            },
            pass: PassId(hex::encode(rand::random::<[u8; 16]>())),
            offset: 0,
            rows: 0,
            pages: Pages::of(cluster, &host, *limits),
            is_mine: false,
            failure: None,
            is_known: false,
        })
    }

    /// Takes note of how a scrape went, and tells changes.
    pub(super) fn note(&mut self, answer: &Result<Vec<u8>, ScrapeError>) {
        let was_known = std::mem::replace(&mut self.is_known, true);
        let failure = answer.as_ref().err().map(|error| chain(error));
        let target = &self.source.name;
        match (&self.failure, &failure) {
            (None, Some(why)) => tracing::warn!(target, why, "cannot be scraped"),
            (Some(_), None) => tracing::info!(target, "can be scraped again"),
            (None, None) if !was_known => tracing::info!(target, "scraped"),
            _ => {}
        }
        self.failure = failure;
    }
}
