//! What became of canaries, and where they were lost. Pure.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::cluster::ClusterError;
use crate::cluster::job::JobEnd;
use crate::model::canary::CanaryId;
use crate::probe::frame::FrameError;
use crate::probe::result::Cause;
use crate::store::canary::FoundCanary;

use super::central::{Collector, Look};
use super::report::{CanaryReport, Sending, SentCanary};

/// The queue tells the time of an entry to the millisecond.
const GRAIN_MS: f64 = 1.0;

/// Whose clock a time is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// The node of the streamer.
    Edge,
    /// The server of the queue.
    Queue,
    /// The server of the store.
    Store,
    /// The node of the gateway.
    Gateway,
}

impl Clock {
    /// Whose clock, as a person reads it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Edge => "the edge's node",
            Self::Queue => "Redis",
            Self::Store => "PostgreSQL",
            Self::Gateway => "the gateway's node",
        }
    }
}

/// Two clocks that do not agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Skew {
    /// Whose clock is ahead.
    pub ahead: Clock,
    /// Of whose.
    pub behind: Clock,
    /// By how much at least, in milliseconds.
    pub at_least_ms: f64,
}

impl fmt::Display for Skew {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ahead, behind) = (self.ahead.word(), self.behind.word());
        let by = self.at_least_ms;
        write!(
            formatter,
            "the clock of {ahead} is at least {by:.0} ms ahead of that of {behind}"
        )
    }
}

/// A canary that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Flown {
    /// Its name.
    pub id: CanaryId,
    /// Edge to queue: from the command to its answer, in milliseconds.
    pub publish_ms: f64,
    /// Queue to store, in milliseconds; `None` where the two clocks contradict each other.
    pub store_ms: Option<f64>,
    /// Store to the gateway's answer, in milliseconds (asked every 100 ms); `None` as before.
    pub show_ms: Option<f64>,
    /// How often collectors received it: more than once if one of them was interrupted. It is
    /// stored once in any case.
    pub deliveries: u64,
}

/// All canaries arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// They, in the order in which they were sent.
    pub canaries: Vec<Flown>,
    /// Clocks that do not agree, each pair once.
    pub skews: Vec<Skew>,
    /// Why something of the sender's Job may be left, if it could not be cleared away.
    pub left: Option<String>,
}

impl Arrived {
    /// How many were delivered more than once.
    pub fn delivered_again(&self) -> usize {
        let again = self.canaries.iter().filter(|flown| flown.deliveries > 1);
        again.count()
    }

    /// Times of all hops of the slowest canary together, in milliseconds, as far as they are known.
    pub fn slowest_ms(&self) -> f64 {
        let whole = |flown: &Flown| {
            flown.publish_ms + flown.store_ms.unwrap_or(0.0) + flown.show_ms.unwrap_or(0.0)
        };
        self.canaries.iter().map(whole).fold(0.0, f64::max)
    }
}

/// In a line that fits into a table: the longest time of each hop.
impl fmt::Display for Arrived {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.canaries.len();
        let publish = longest(self.canaries.iter().map(|flown| Some(flown.publish_ms)));
        let store = longest(self.canaries.iter().map(|flown| flown.store_ms));
        let show = longest(self.canaries.iter().map(|flown| flown.show_ms));
        write!(
            formatter,
            "{count} of {count} arrived: Redis {publish}, store {store}, API {show}"
        )
    }
}

fn longest(times: impl Iterator<Item = Option<f64>>) -> String {
    match times.flatten().max_by(f64::total_cmp) {
        Some(longest) => format!("{longest:.0} ms"),
        None => "unknown".to_owned(),
    }
}

/// Why canaries that were published did not get into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// There is no collector.
    NoCollector,
    /// A collector says what is wrong with it.
    Unwell,
    /// Entries were set aside meanwhile because of what is in them.
    SetAside,
    /// The collectors say that all is well.
    Unexplained,
}

/// Why canaries did not arrive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CanaryError {
    /// A cluster cannot be asked, or refuses the Job.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Nobody is there in whose place one could be sent.
    #[error("there is no streamer in namespace {namespace} of {cluster} to send a canary for")]
    NoStreamer {
        /// Context.
        cluster: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// A version that knows no canaries; none was sent.
    #[error("{what} of {cluster} is of a version that knows no canaries: deploy there first")]
    TooOld {
        /// Context.
        cluster: String,
        /// What is too old.
        what: String,
    },
    /// They did not get into the queue.
    #[error("a canary did not get from {cluster} into the queue: {detail}")]
    NotPublished {
        /// Context of the edge.
        cluster: String,
        /// Why, where the sender could say it.
        cause: Option<Cause>,
        /// In words.
        detail: String,
    },
    /// They are in the queue, or could not be taken out of it.
    #[error("{lost} of {sent} canaries did not get from the queue into the store: {detail}")]
    NotStored {
        /// How many are not in the store.
        lost: usize,
        /// Of how many that were sent; 0 if none was sent because nobody could have stored it.
        sent: usize,
        /// Why.
        fault: StoreFault,
        /// In words.
        detail: String,
    },
    /// They are in the store, and the gateway does not show them.
    #[error("{lost} of {sent} canaries are stored, and the gateway does not show them: {detail}")]
    NotShown {
        /// How many.
        lost: usize,
        /// Of how many.
        sent: usize,
        /// In words.
        detail: String,
    },
    /// Somebody stopped it.
    #[error("it was interrupted before the canaries arrived")]
    Interrupted,
}

/// What was seen of canaries.
#[derive(Debug)]
pub(super) struct Course<'a> {
    /// Context of the edge.
    pub(super) edge: &'a str,
    /// Namespace and context of the collectors, in words.
    pub(super) central: &'a str,
    pub(super) ids: &'a [CanaryId],
    pub(super) end: JobEnd,
    /// Why something of the Job may be left, if it could not be cleared away.
    pub(super) left: Option<String>,
    /// What the gateway answered, and how long after the start, in milliseconds.
    pub(super) found: BTreeMap<CanaryId, (FoundCanary, f64)>,
    /// What was wrong with the last look at the gateway, if anything was.
    pub(super) last: Option<Look>,
    /// The collectors at the start.
    pub(super) before: Vec<Collector>,
    /// The collectors at the end, if something is missing.
    pub(super) after: Vec<Collector>,
}

/// Whether canaries may be sent: collectors are there, and all that answer know what they are.
pub(super) fn may_start(central: &str, collectors: &[Collector]) -> Result<(), CanaryError> {
    let unable = |fault, detail| CanaryError::NotStored {
        lost: 0,
        sent: 0,
        fault,
        detail,
    };
    if collectors.is_empty() {
        let detail = format!("no collector runs in {central}, so none was sent");
        return Err(unable(StoreFault::NoCollector, detail));
    }
    let too_old = collectors
        .iter()
        .find(|one| one.knows_canaries() == Some(false));
    if let Some(one) = too_old {
        return Err(CanaryError::TooOld {
            cluster: central.to_owned(),
            what: format!("pod/{}", one.pod),
        });
    }
    if collectors.iter().all(|one| one.knows_canaries().is_none()) {
        let said = collectors.iter().find_map(Collector::complaint);
        let detail = format!("no collector answers: {}", said.unwrap_or_default());
        return Err(unable(StoreFault::Unwell, detail));
    }
    Ok(())
}

/// What the sender reports, or why there is nothing to wait for.
pub(super) fn sent(edge: &str, end: &JobEnd) -> Result<CanaryReport, CanaryError> {
    let failed = |cause, detail| CanaryError::NotPublished {
        cluster: edge.to_owned(),
        cause,
        detail,
    };
    let log = match end {
        JobEnd::Finished { log } => log,
        JobEnd::NotStarted { reason } => {
            return Err(failed(None, format!("the sender's pod: {reason}")));
        }
        JobEnd::Stopped => return Err(CanaryError::Interrupted),
        JobEnd::OutOfTime { state } => {
            let detail = format!("the sender did not end in time: {state}");
            return Err(failed(Some(Cause::TimedOut), detail));
        }
    };
    let report = match CanaryReport::decode(log) {
        Ok(report) => report,
        Err(FrameError::Missing) if log.contains("unexpected argument '--canary'") => {
            return Err(CanaryError::TooOld {
                cluster: edge.to_owned(),
                what: "the streamer".to_owned(),
            });
        }
        Err(error) => {
            let last = log.lines().last().unwrap_or("nothing");
            return Err(failed(None, format!("{error}; the log ends with: {last}")));
        }
    };
    match report.failure() {
        None => Ok(report),
        Some((cause, detail)) => Err(failed(Some(cause), detail)),
    }
}

/// Whether all arrived, and if not, where they were lost.
pub(super) fn judge(course: &Course<'_>) -> Result<Arrived, CanaryError> {
    let report = sent(course.edge, &course.end)?;
    let missing: Vec<&CanaryId> = course
        .ids
        .iter()
        .filter(|id| !course.found.contains_key(id))
        .collect();
    if missing.is_empty() {
        return Ok(arrived(course, &report));
    }
    let sent = course.ids.len();
    let is_stored = |id: &CanaryId| course.after.iter().any(|one| one.has_stored(id));
    let unstored = missing.iter().filter(|id| !is_stored(id)).count();
    if unstored == 0 {
        return Err(CanaryError::NotShown {
            lost: missing.len(),
            sent,
            detail: match &course.last {
                Some(Look::Failed(why)) => why.clone(),
                _ => "it answers that there are none; it may read another database".to_owned(),
            },
        });
    }
    let (fault, detail) = store_fault(course);
    Err(CanaryError::NotStored {
        lost: unstored,
        sent,
        fault,
        detail,
    })
}

fn store_fault(course: &Course<'_>) -> (StoreFault, String) {
    if course.after.is_empty() {
        let detail = format!("no collector runs in {} any more", course.central);
        return (StoreFault::NoCollector, detail);
    }
    if let Some(complaint) = course.after.iter().find_map(Collector::complaint) {
        return (StoreFault::Unwell, complaint);
    }
    let count =
        |collectors: &[Collector]| -> u64 { collectors.iter().map(Collector::dead_letters).sum() };
    let set_aside = count(&course.after).saturating_sub(count(&course.before));
    if set_aside > 0 {
        let detail = format!("{set_aside} entries were set aside as dead letters meanwhile");
        return (StoreFault::SetAside, detail);
    }
    let mut detail = "the collectors say that they are well: there may be much before it in the \
                      queue, or they read another Redis or pipeline than the edge writes to"
        .to_owned();
    if let Some(Look::Failed(why)) = &course.last {
        // Then the collectors' status pages are all there is.
        detail = format!("{detail}; the gateway could not be asked: {why}");
    }
    (StoreFault::Unexplained, detail)
}

fn arrived(course: &Course<'_>, report: &CanaryReport) -> Arrived {
    let mut skews: BTreeMap<(Clock, Clock), f64> = BTreeMap::new();
    let mut note = |skew: Option<Skew>| {
        if let Some(skew) = skew {
            let most = skews.entry((skew.ahead, skew.behind)).or_insert(0.0);
            *most = most.max(skew.at_least_ms);
        }
    };
    let mut canaries = Vec::new();
    for sent in &report.canaries {
        let Some((id, (found, elapsed_ms))) =
            CanaryId::parse(&sent.id).and_then(|id| course.found.get_key_value(&id))
        else {
            continue;
        };
        let record = &found.record;
        let published = Stamp(Clock::Queue, record.published_at);
        let stored = Stamp(Clock::Store, record.stored_at);
        let (publish_ms, skew) = publishing(sent);
        note(skew);
        let mut known = |from, to| match span(from, to, *elapsed_ms) {
            Ok(time) => Some(time),
            Err(skew) => {
                note(Some(skew));
                None
            }
        };
        canaries.push(Flown {
            id: id.clone(),
            publish_ms,
            store_ms: known(published, stored),
            show_ms: known(stored, Stamp(Clock::Gateway, found.answered_at)),
            deliveries: record.deliveries,
        });
    }
    let skews = skews.into_iter();
    let skews = skews.map(|((ahead, behind), at_least_ms)| Skew {
        ahead,
        behind,
        at_least_ms,
    });
    Arrived {
        canaries,
        skews: skews.collect(),
        left: course.left.clone(),
    }
}

/// A time and whose it is.
#[derive(Debug, Clone, Copy)]
struct Stamp(Clock, Timestamp);

fn milliseconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}

/// Both ends were timed by the sender; the queue must have taken it in between.
fn publishing(sent: &SentCanary) -> (f64, Option<Skew>) {
    let Sending::Published {
        published_at,
        took_ms,
        ..
    } = &sent.outcome
    else {
        return (0.0, None);
    };
    let (from, to) = (
        Stamp(Clock::Edge, sent.sent_at),
        Stamp(Clock::Queue, *published_at),
    );
    (*took_ms, span(from, to, *took_ms).err())
}

/// The time between two stamps, or what it says about their clocks: it must not be negative, and
/// not longer than was waited for it.
fn span(from: Stamp, to: Stamp, longest_ms: f64) -> Result<f64, Skew> {
    let time = milliseconds(from.1, to.1);
    if time < -GRAIN_MS {
        return Err(Skew {
            ahead: from.0,
            behind: to.0,
            at_least_ms: -time,
        });
    }
    if time > longest_ms + GRAIN_MS {
        return Err(Skew {
            ahead: to.0,
            behind: from.0,
            at_least_ms: time - longest_ms,
        });
    }
    Ok(time.max(0.0))
}
