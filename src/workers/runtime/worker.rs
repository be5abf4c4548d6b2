//! One worker from start to end: HTTP, registration and its own work under one supervisor.

use std::io;
use std::time::Duration;

use axum::Router;
use futures::Stream;
use tokio::net::TcpListener;

use crate::registry::Registry;
use crate::workers::vitals::Vitals;

use super::http;
use super::log_level::{self, LogSwitch};
use super::registration::{Advertisement, advertise};
use super::signals::Signal;
use super::supervisor::{Ended, Phase, StopTimes, Supervisor};
use super::tls::ServerTls;

/// Everything around a worker's own work.
#[derive(Debug)]
pub struct Frame<R> {
    /// Who it is and where others reach it; the listen port is filled in.
    pub advertisement: Advertisement,
    /// Where to register and for how long a registration outlives its worker.
    pub registry: Option<(R, Duration)>,
    /// How long a stop may take.
    pub times: StopTimes,
    /// TLS of the HTTP port; plain without.
    pub tls: Option<ServerTls>,
    /// Changes the level of the logs; without, there is no route for it.
    pub logs: Option<LogSwitch>,
}

/// Runs a worker until it has ended. `work` starts the worker's own tasks and answers the routes
/// that it adds to those of every worker.
///
/// # Errors
/// When the listener has no address.
pub async fn run<R: Registry>(
    frame: Frame<R>,
    listener: TcpListener,
    signals: impl Stream<Item = Signal> + Unpin,
    work: impl FnOnce(&mut Supervisor, &Vitals) -> Router,
) -> io::Result<Ended> {
    let mut advertisement = frame.advertisement;
    advertisement.listen_port = listener.local_addr()?.port();
    let about = advertisement.about.clone();
    tracing::info!(
        worker = %about.component,
        id = about.id,
        cluster = about.cluster_id,
        version = about.version,
        port = advertisement.listen_port,
        "started"
    );
    let vitals = Vitals::default();
    let mut supervisor = Supervisor::new(vitals.clone(), frame.times);
    let mut routes = work(&mut supervisor, &vitals).merge(http::router(about, vitals.clone()));
    let last = supervisor.token(Phase::Last);
    let (acceptor, renewal) = frame.tls.map(|tls| (tls.acceptor, tls.renewal)).unzip();
    if let Some(renewal) = renewal {
        let following = renewal.follow(vitals.clone(), last.clone());
        supervisor.start("certificate", Phase::Last, async move {
            following.await;
            Ok(())
        });
    }
    if let Some(logs) = frame.logs {
        routes = routes.merge(log_level::router(logs.clone()));
        let stop = last.clone();
        supervisor.start("log level", Phase::Last, async move {
            logs.follow(&stop).await;
            Ok(())
        });
    }
    supervisor.start("http", Phase::Last, async move {
        Ok(http::serve(listener, acceptor, routes, last).await?)
    });
    let stop = supervisor.token(Phase::Work);
    supervisor.start("registration", Phase::Work, async move {
        advertise(&advertisement, frame.registry, &vitals, &stop).await;
        Ok(())
    });
    Ok(supervisor.run(signals).await)
}
