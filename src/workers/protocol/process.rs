//! A worker as a process that can be started, frozen, killed, or told to end.

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::environment::Environment;
use crate::config::worker::{
    CollectorSettings, IdentitySettings, SourceSettings, StreamerSettings, UpkeepSettings,
};
use crate::model::causes::chain;
use crate::model::component::Component;
use crate::model::source::StoreToken;
use crate::queue::spool::simulated::{Loses, Mounted, SimulatedDisk};
use crate::workers::collector::{self, streamers::Streamers};
use crate::workers::streamer;
use crate::workers::vitals::Vitals;

use super::action::Who;
use super::line::{Line, Request};
use super::source::CLUSTER;

/// Room in a spool in bytes: some messages fill it.
const SPOOL_LIMIT: u64 = 2048;

pub(super) struct Process {
    pub(super) who: Who,
    pub(super) is_frozen: bool,
    /// A streamer's; what it loses when its power fails while it works.
    pub(super) disk: SimulatedDisk,
    pub(super) loses: Loses,
    mounted: Mounted,
    pub(super) running: Option<Running>,
    /// Which store it knew of when it ended.
    pub(super) heard: Option<StoreToken>,
}

pub(super) struct Running {
    pub(super) task: JoinHandle<Result<(), String>>,
    pub(super) vitals: Vitals,
    pub(super) line: Line,
    pub(super) asked: mpsc::UnboundedReceiver<Request>,
    pub(super) waiting: Vec<Request>,
    stop: CancellationToken,
}

fn identity(who: Who) -> IdentitySettings {
    let (component, variable, name) = match who {
        0 => (Component::Streamer, "STREAMER_ID", "streamer-0"),
        1 => (Component::Streamer, "STREAMER_ID", "streamer-1"),
        2 => (Component::Collector, "COLLECTOR_ID", "collector-0"),
        _ => (Component::Collector, "COLLECTOR_ID", "collector-1"),
    };
    let environment = Environment::from([("CLUSTER_ID", CLUSTER), (variable, name)]);
    IdentitySettings::from_environment(component, &environment).unwrap()
}

impl Process {
    pub(super) fn new(who: Who) -> Self {
        let disk = SimulatedDisk::default();
        Self {
            who,
            is_frozen: false,
            mounted: disk.mount(),
            disk,
            loses: Loses::Everything,
            running: None,
            heard: None,
        }
    }

    pub(super) const fn is_streamer(&self) -> bool {
        self.who < 2
    }

    /// Gets an empty disk.
    pub(super) fn replace_disk(&mut self) {
        self.disk = SimulatedDisk::default();
        self.mounted = self.disk.mount();
    }

    /// Starts it; `size` is a batch's or a transaction's.
    pub(super) fn start(&mut self, file: &Path, size: usize) {
        let (line, asked) = Line::new();
        let (vitals, stop) = (Vitals::default(), CancellationToken::new());
        let identity = identity(self.who);
        let (worker, told, end) = (line.clone(), vitals.clone(), stop.clone());
        let task = if self.is_streamer() {
            let settings = StreamerSettings {
                source: SourceSettings::Files(file.to_owned()),
                uploads: None,
                batch_size: size,
                stream_interval: None,
                loop_mode: false,
                // A folder that is not there yet, as on a machine that is no cluster's.
                spool_dir: self.mounted.root().join("spool"),
                spool_limit: SPOOL_LIMIT,
                replicas: 2,
            };
            tokio::spawn(async move {
                let ended = streamer::run(&settings, &identity, worker, None, (told, end)).await;
                ended.map_err(|error| chain(&error))
            })
        } else {
            let settings = CollectorSettings {
                batch_size: size,
                poll_interval: Duration::from_secs(1),
                pace: None,
                upkeep: UpkeepSettings::default(),
            };
            tokio::spawn(async move {
                let streamers = Streamers::of(CLUSTER, &told);
                let (queue, store) = (worker.clone(), worker);
                let ended =
                    collector::run(&settings, &identity, queue, store, streamers, told, end).await;
                ended.map_err(|error| chain(&error))
            })
        };
        self.is_frozen = false;
        self.heard = None;
        self.running = Some(Running {
            task,
            vitals,
            line,
            asked,
            waiting: Vec::new(),
            stop,
        });
    }

    /// The process is gone; what it asked is returned.
    pub(super) async fn kill(&mut self) -> Vec<Request> {
        let Some(running) = self.running.take() else {
            return Vec::new();
        };
        self.heard = running.line.heard();
        running.task.abort();
        // Cancelled or ended: gone.
        drop(running.task.await);
        self.disk.kill();
        running.waiting
    }
}

impl Running {
    /// Takes note of what was asked since, in an order that threads have no part in.
    pub(super) fn listen(&mut self) {
        while let Ok(request) = self.asked.try_recv() {
            self.waiting.push(request);
        }
        self.waiting.sort_by(|one, other| one.what.cmp(&other.what));
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Messages that are in its spool, by its own account.
    pub(super) fn undrained(&self) -> Option<u64> {
        self.vitals.details().get("spool_undrained")?.as_u64()
    }
}
