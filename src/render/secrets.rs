//! Which Secrets must exist before the workloads can start.

use std::collections::BTreeMap;

use crate::config::Resolved;
use crate::config::values::{BackupStorageType, CsvSourceType};
use crate::model::component::Component;
use crate::model::manifest::{SecretContent, SecretKey, SecretNeed};

use super::backup::CREDENTIALS;
use super::components::is_enabled;
use super::facts::Facts;
use super::ingress;
use super::source::download_port;

/// Collects needs; one Secret may be needed by several components.
#[derive(Debug, Default)]
struct Needs(BTreeMap<String, BTreeMap<String, SecretContent>>);

impl Needs {
    /// A name that is empty means that nothing is needed.
    fn add(&mut self, name: &str, key: &str, content: SecretContent) {
        if !name.is_empty() {
            self.0
                .entry(name.to_owned())
                .or_default()
                .insert(key.to_owned(), content);
        }
    }

    fn certificate(
        &mut self,
        name: &str,
        component: Component,
        (certificate, key): (SecretContent, SecretContent),
    ) {
        self.add(name, "tls.crt", certificate);
        self.add(name, "tls.key", key);
        self.add(name, "ca.crt", SecretContent::CaCertificate(component));
    }
}

/// The needs of all components that are deployed here.
pub(super) fn needs(resolved: &Resolved, facts: &Facts) -> Vec<SecretNeed> {
    let mut needs = Needs::default();
    for component in Component::ALL {
        if is_enabled(&resolved.values, component) {
            of_component(&mut needs, resolved, facts, component);
            of_port(&mut needs, resolved, component);
            of_ingress(&mut needs, resolved, component);
        }
    }
    if resolved.values.streamer.enabled {
        download(&mut needs, resolved);
    }
    if resolved.values.dumps_database() {
        backup(&mut needs, resolved, facts);
    }
    needs
        .0
        .into_iter()
        .map(|(name, keys)| SecretNeed {
            name,
            keys: keys
                .into_iter()
                .map(|(key, content)| SecretKey { key, content })
                .collect(),
        })
        .collect()
}

fn of_component(needs: &mut Needs, resolved: &Resolved, facts: &Facts, component: Component) {
    use SecretContent as Content;
    let values = &resolved.values;
    match component {
        Component::Redis => {
            let redis = &values.redis;
            if redis.auth.enabled {
                let auth = &redis.auth;
                needs.add(
                    &auth.existing_secret,
                    &auth.existing_secret_password_key,
                    Content::RedisPassword,
                );
            }
            if redis.tls.enabled {
                let pair = (Content::RedisServerCertificate, Content::RedisServerKey);
                needs.certificate(&redis.tls.existing_secret, component, pair);
            }
        }
        Component::Etcd => {
            if values.etcd.tls.enabled {
                let pair = (Content::EtcdServerCertificate, Content::EtcdServerKey);
                needs.certificate(&values.etcd.tls.existing_secret, component, pair);
                etcd_client(needs, &values.etcd.tls.client_secret);
            }
        }
        Component::Postgresql => {
            let auth = &values.postgresql.auth;
            needs.add(
                &auth.existing_secret,
                &auth.existing_secret_password_key,
                Content::DatabasePassword,
            );
            if values.postgresql.tls.enabled {
                let name = &values.postgresql.tls.existing_secret;
                needs.add(name, "tls.crt", Content::DatabaseServerCertificate);
                needs.add(name, "tls.key", Content::DatabaseServerKey);
            }
        }
        Component::Streamer => {
            registration(needs, facts);
            queue(needs, facts);
        }
        Component::Collector => {
            registration(needs, facts);
            queue(needs, facts);
            database(needs, facts);
        }
        Component::ApiGateway => {
            registration(needs, facts);
            database(needs, facts);
            if values.gateway_asks_for_token() {
                let auth = &values.api_gateway.config.auth;
                needs.add(
                    &auth.existing_secret,
                    &auth.existing_secret_token_key,
                    Content::ApiToken,
                );
            }
        }
    }
}

/// The certificate of a worker's own port.
fn of_port(needs: &mut Needs, resolved: &Resolved, component: Component) {
    if let Some(tls) = resolved.values.worker_tls(component) {
        let certificate = SecretContent::WorkerCertificate(component);
        let key = SecretContent::WorkerKey(component);
        needs.certificate(&tls.existing_secret, component, (certificate, key));
    }
}

/// Certificates of an Ingress, unless cert-manager makes them.
fn of_ingress(needs: &mut Needs, resolved: &Resolved, component: Component) {
    let Some(ingress) = ingress::of(&resolved.values, component) else {
        return;
    };
    if ingress.is_issued() {
        return;
    }
    for tls in &ingress.tls {
        needs.add(&tls.secret_name, "tls.crt", SecretContent::Given);
        needs.add(&tls.secret_name, "tls.key", SecretContent::Given);
    }
}

fn backup(needs: &mut Needs, resolved: &Resolved, facts: &Facts) {
    database(needs, facts);
    let storage = &resolved.values.backup.storage;
    if storage.kind == BackupStorageType::S3 {
        for key in CREDENTIALS {
            needs.add(&storage.existing_secret, key, SecretContent::Given);
        }
    }
}

fn download(needs: &mut Needs, resolved: &Resolved) {
    let is_scraped = resolved.values.streamer.config.csv_source.kind == CsvSourceType::Scrape;
    if is_scraped || download_port(&resolved.values).is_some() {
        let name = &resolved.values.streamer.config.csv_source.ca_secret;
        needs.add(name, "ca.crt", SecretContent::Given);
    }
}

fn registration(needs: &mut Needs, facts: &Facts) {
    let etcd = &facts.etcd;
    if etcd.endpoints.is_empty() {
        return;
    }
    let authority = SecretContent::CaCertificate(Component::Etcd);
    needs.add(&etcd.ca_secret, "ca.crt", authority);
    etcd_client(needs, &etcd.client_secret);
    if !etcd.username.is_empty() {
        needs.add(
            &etcd.password_secret,
            &etcd.password_key,
            SecretContent::Given,
        );
    }
}

fn etcd_client(needs: &mut Needs, name: &str) {
    let pair = (
        SecretContent::EtcdClientCertificate,
        SecretContent::EtcdClientKey,
    );
    needs.certificate(name, Component::Etcd, pair);
}

fn queue(needs: &mut Needs, facts: &Facts) {
    let redis = &facts.redis;
    needs.add(
        &redis.password_secret,
        &redis.password_key,
        SecretContent::RedisPassword,
    );
    let authority = SecretContent::CaCertificate(Component::Redis);
    needs.add(
        &redis.sentinel_secret,
        &redis.sentinel_key,
        SecretContent::Given,
    );
    needs.add(&redis.ca_secret, "ca.crt", authority);
    // The authority that signs it is the one that its server trusts: not ours.
    needs.add(&redis.client_secret, "tls.crt", SecretContent::Given);
    needs.add(&redis.client_secret, "tls.key", SecretContent::Given);
}

fn database(needs: &mut Needs, facts: &Facts) {
    let database = &facts.database;
    needs.add(
        &database.password_secret,
        &database.password_key,
        SecretContent::DatabasePassword,
    );
    let authority = SecretContent::CaCertificate(Component::Postgresql);
    needs.add(&database.ca_secret, "ca.crt", authority);
}
