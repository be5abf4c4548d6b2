//! How many connections telectl makes, counted at relays that pass bytes on and look at none.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kube::config::Kubeconfig;

use super::lab::{Clusters, Lab};

/// A relay before an API server. Its threads end with the connections, and the last with the process.
struct Relay {
    address: String,
    accepted: Arc<AtomicUsize>,
}

impl Relay {
    fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, server) = (Arc::clone(&accepted), server.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
                let far = TcpStream::connect(&server).expect("the API server listens");
                pass(&near, &far);
                pass(&far, &near);
            }
        });
        Self { address, accepted }
    }
}

/// Passes on what comes, to its end.
fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (
        from.try_clone().expect("a handle"),
        to.try_clone().expect("a handle"),
    );
    thread::spawn(move || {
        // Either side may go at any time.
        let _passed = io::copy(&mut from, &mut to);
        let _closed = to.shutdown(Shutdown::Write);
    });
}

/// The clusters by way of relays, with a kubeconfig in the folder.
fn through_relays(clusters: &Clusters, folder: &std::path::Path) -> (Clusters, Vec<Relay>) {
    let mut kubeconfig = Kubeconfig::read_from(&clusters.kubeconfig).expect("a kubeconfig");
    let mut relays = Vec::new();
    for named in &mut kubeconfig.clusters {
        let Some(cluster) = &mut named.cluster else {
            continue;
        };
        let server = cluster.server.as_deref().unwrap_or_default();
        let relay = Relay::before(server.trim_start_matches("https://"));
        cluster.server = Some(format!("https://{}", relay.address));
        // The certificate is the API server's own.
        cluster.tls_server_name = Some("kubernetes".to_owned());
        if named.name == clusters.edge || named.name == clusters.central {
            relays.push(relay);
        }
    }
    let file = folder.join("config");
    let text = serde_yaml::to_string(&kubeconfig).expect("it can be written");
    std::fs::write(&file, text).expect("the file can be written");
    let by_relay = Clusters {
        kubeconfig: file,
        ..clusters.clone()
    };
    (by_relay, relays)
}

#[test]
fn d07_each_cluster_is_asked_over_one_connection() {
    let Some(lab) = Lab::take() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (by_relay, relays) = through_relays(&lab, folder.path());
    let _same = by_relay.lab(&["deploy-all", "--yes"]).exits(0);
    let counts: Vec<usize> = relays
        .iter()
        .map(|relay| relay.accepted.load(Ordering::Relaxed))
        .collect();
    assert_eq!(counts, [1, 1], "of {} and {}", lab.edge, lab.central);
}
