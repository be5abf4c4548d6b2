//! What a run says while it goes on. Printers, JSON lines and tests are all just consumers.

use super::layout::Stage;
use super::plan::Action;
use super::times::Times;
use crate::model::object::ObjectRef;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A stage begins.
    StageStarted(Stage),
    /// An object was written or deleted.
    Applied {
        /// Where.
        stage: Stage,
        /// Which.
        object: ObjectRef,
        /// How.
        action: Action,
    },
    /// An object is not ready yet.
    Waiting {
        /// Where.
        stage: Stage,
        /// Which.
        object: ObjectRef,
        /// What it waits for.
        why: String,
    },
    /// An object is ready.
    Ready {
        /// Where.
        stage: Stage,
        /// Which.
        object: ObjectRef,
    },
    /// A server got an address that other clusters use.
    Address {
        /// Where.
        stage: Stage,
        /// Which server.
        server: String,
        /// The address and port.
        endpoint: String,
    },
    /// A pod of an earlier revision that never became ready was deleted: it was in the way.
    Unblocked {
        /// Where.
        stage: Stage,
        /// Its name.
        pod: String,
    },
    /// A lock seems to be left over; it is watched for as long as it would live.
    LockWatched {
        /// Where.
        stage: Stage,
        /// Who holds it.
        holder: String,
    },
    /// A lock was left over from somebody, and is ours now.
    LockTakenOver {
        /// Where.
        stage: Stage,
        /// Who left it.
        former: String,
    },
    /// A canary went from an edge all the way to the gateway.
    CanaryArrived {
        /// The edge.
        stage: Stage,
        /// How long it took on the way.
        course: String,
    },
    /// A stage is taken back to what was deployed before.
    RollingBack(Stage),
    /// A stage is done.
    StageDone {
        /// Where.
        stage: Stage,
        /// How many objects were written.
        written: usize,
        /// How many objects were deleted.
        deleted: usize,
        /// How long it took.
        times: Times,
    },
}
