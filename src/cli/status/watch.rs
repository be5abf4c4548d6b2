//! `telectl status --watch`: looks again and again.
//!
//! Every cluster is asked by itself, and asked again a while after it has answered: one that is slow
//! or gone holds up nobody, comes back by itself, and nothing is ever asked twice at once.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::signal;
use crate::model::exit::ExitCode;
use crate::report::{Coloring, Live, visible};
use crate::status::changes::changes;
use crate::status::collect::ClusterFacts;
use crate::status::{Collected, Limits, Probed, StatusReport, ask_cluster, probed, summarise};
use crate::validate::{Probing, Site};

use super::{StatusOutput, frame, view};

/// Pause between two drawings; ages count on, too.
const REDRAW: Duration = Duration::from_secs(1);
/// Pause between two probes: each is a Job.
const PROBE_INTERVAL: Duration = Duration::from_secs(60);
/// Longest silence where there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How to watch.
pub(super) struct Watch<'a> {
    pub(super) limits: Limits,
    pub(super) probing: Probing,
    /// Pause between two looks at a cluster.
    pub(super) interval: Duration,
    pub(super) output: StatusOutput,
    pub(super) session: &'a Session,
}

type Probe<'a> = Pin<Box<dyn Future<Output = Probed> + 'a>>;

/// What is known by now.
struct Known {
    clusters: Vec<Option<ClusterFacts>>,
    probed: Probed,
}

impl Known {
    /// Takes note of an answer. What is remembered of one that does not answer is when it did.
    fn note(&mut self, index: usize, mut facts: ClusterFacts, now: Timestamp) {
        facts.answered_at = if facts.answers() {
            Some(now)
        } else {
            self.clusters[index]
                .as_ref()
                .and_then(|before| before.answered_at)
        };
        self.clusters[index] = Some(facts);
    }

    /// Once every cluster has answered, or was found not to.
    fn is_complete(&self) -> bool {
        self.clusters.iter().all(Option::is_some)
    }

    fn answers(&self) -> Vec<ClusterFacts> {
        self.clusters.iter().flatten().cloned().collect()
    }

    fn report(&self, now: Timestamp) -> StatusReport {
        let collected = Collected {
            clusters: self.answers(),
            probed: self.probed.clone(),
        };
        summarise(&collected, now)
    }
}

impl Watch<'_> {
    /// Until a signal.
    pub(super) async fn run(&self, sites: &[Site]) -> Result<ExitCode, CliError> {
        let stop = CancellationToken::new();
        let mut paper = Paper::new(self);
        let mut known = Known {
            clusters: vec![None; sites.len()],
            probed: Probed::unknown(match self.probing {
                Probing::Run => "the probe has not reported yet",
                Probing::Omit => "not asked for",
            }),
        };
        let mut asking: FuturesUnordered<_> = (0..sites.len())
            .map(|index| self.ask(sites, index, Duration::ZERO))
            .collect();
        let mut probe: Option<Probe<'_>> = None;
        let mut probe_due = Instant::now();
        let mut redraw = interval(REDRAW);
        redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let code = loop {
            if probe.is_none() && self.is_probe_due(&known, probe_due) {
                probe_due = Instant::now() + PROBE_INTERVAL;
                probe = Some(self.probe(sites, known.answers(), stop.clone()));
            }
            tokio::select! {
                code = signal::received() => break code,
                Some((index, facts)) = asking.next() => {
                    known.note(index, facts, Timestamp::now());
                    asking.push(self.ask(sites, index, self.interval));
                }
                found = run(&mut probe) => {
                    known.probed = found;
                    probe = None;
                }
                _ = redraw.tick() => {}
            }
            if let Err(error) = paper.draw(&known, sites.len()) {
                break CliError::from(error).exit_code();
            }
        };
        self.end(probe, &stop).await;
        Ok(code)
    }

    /// Asks one cluster after a pause.
    async fn ask(&self, sites: &[Site], index: usize, pause: Duration) -> (usize, ClusterFacts) {
        sleep(pause).await;
        let facts = Box::pin(ask_cluster(&sites[index], self.limits)).await;
        (index, facts)
    }

    fn is_probe_due(&self, known: &Known, due: Instant) -> bool {
        self.probing == Probing::Run && known.is_complete() && Instant::now() >= due
    }

    fn probe<'a>(
        &'a self,
        sites: &'a [Site],
        clusters: Vec<ClusterFacts>,
        stop: CancellationToken,
    ) -> Probe<'a> {
        Box::pin(async move { probed(sites, &clusters, self.limits, stop).await })
    }

    /// Removes a probe that runs; a second signal does not wait for that.
    async fn end(&self, probe: Option<Probe<'_>>, stop: &CancellationToken) {
        stop.cancel();
        if let Some(probe) = probe {
            tokio::select! {
                _ = probe => {}
                _ = signal::received() => {}
            }
        }
    }
}

/// Waits for the probe, for ever if none runs.
async fn run(probe: &mut Option<Probe<'_>>) -> Probed {
    match probe {
        Some(probe) => probe.await,
        None => std::future::pending().await,
    }
}

/// Where it is shown: a block on a terminal, lines elsewhere.
struct Paper<'a> {
    watch: &'a Watch<'a>,
    live: Live,
    /// What was told last; not used on a terminal.
    told: Option<StatusReport>,
    spoke: Instant,
}

impl<'a> Paper<'a> {
    fn new(watch: &'a Watch<'a>) -> Self {
        Self {
            watch,
            live: watch.session.ui.live(),
            told: None,
            spoke: Instant::now(),
        }
    }

    fn draw(&mut self, known: &Known, clusters: usize) -> std::io::Result<()> {
        let now = Timestamp::now();
        let ui = &self.watch.session.ui;
        let is_for_people = matches!(self.watch.output, StatusOutput::Table | StatusOutput::Wide);
        if is_for_people && self.live.is_drawn() && ui.data_columns().is_some() {
            let missing = known.clusters.iter().filter(|one| one.is_none()).count();
            let report = known.report(now);
            let text = match missing == clusters {
                true => String::new(),
                false => view::watched(&report, frame(self.watch.output, self.watch.session)),
            };
            self.live.show(&text, &self.footer(&report.at, missing));
            return Ok(());
        }
        if !known.is_complete() {
            return Ok(());
        }
        let report = known.report(now);
        let lines = self.news(&report);
        if lines.is_empty() && self.spoke.elapsed() < HEARTBEAT {
            return Ok(());
        }
        self.spoke = Instant::now();
        let text = self.written(&report, lines);
        self.told = Some(report);
        ui.data(&text)
    }

    fn footer(&self, at: &str, missing: usize) -> String {
        let pause = self.watch.interval;
        match missing {
            0 => format!("{at}, every {pause:?}; Ctrl-C ends"),
            _ => format!("{at}, waiting for {missing} clusters; Ctrl-C ends"),
        }
    }

    /// What has changed since it was told last; at first, what is not well.
    fn news(&self, report: &StatusReport) -> Vec<String> {
        match &self.told {
            Some(told) => changes(told, report),
            None => {
                let concerns = report.concerns.iter().map(view::concern_line);
                std::iter::once(view::verdict(report, Coloring::Plain))
                    .chain(concerns)
                    .collect()
            }
        }
    }

    fn written(&self, report: &StatusReport, lines: Vec<String>) -> String {
        let at = &report.at;
        match self.watch.output {
            StatusOutput::Json => serde_json::to_string(report).unwrap_or_default(),
            StatusOutput::Yaml => {
                let text = serde_yaml::to_string(report).unwrap_or_default();
                format!("---\n{text}")
            }
            StatusOutput::Table | StatusOutput::Wide if lines.is_empty() => {
                format!(
                    "{at} {}, nothing changed",
                    view::verdict(report, Coloring::Plain)
                )
            }
            StatusOutput::Table | StatusOutput::Wide => {
                let lines = lines.iter().map(|line| format!("{at} {}\n", visible(line)));
                lines.collect()
            }
        }
    }
}
