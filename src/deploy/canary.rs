//! Proves with a record of its own that what the first edge sends arrives, before any other edge is
//! touched.

use std::time::Duration;

use super::error::DeployError;
use super::event::Event;
use super::execute::Writing;
use super::layout::Stage;
use super::run::Run;
use crate::model::profile::Profile;
use crate::probe::canary::{CanaryError, Flight, arrive};

/// Enough for each shard of a queue to carry one: by default there are two.
const CANARIES: usize = 2;
/// Long enough for a pod to start and for another collector to take over from a dead one.
const DEADLINE: Duration = Duration::from_secs(60);

impl Run<'_> {
    /// Sends canaries from an edge to the central cluster of the run, if that is part of it.
    pub(super) async fn send_canary(
        &self,
        edge: &Stage,
        writing: &Writing<'_>,
    ) -> Result<(), DeployError> {
        let is_central = |stage: &&Stage| stage.profile == Profile::Central;
        let Some(central) = self.stages.iter().map(|(stage, _)| stage).find(is_central) else {
            return Ok(());
        };
        let flight = Flight {
            edge: self.cluster(edge),
            edge_namespace: &edge.namespace,
            central: self.cluster(central),
            central_namespace: &central.namespace,
            count: CANARIES,
            deadline: DEADLINE,
            stop: &writing.halt,
        };
        match Box::pin(arrive(&flight)).await {
            Ok(arrived) => {
                self.say(Event::CanaryArrived {
                    stage: edge.clone(),
                    course: arrived.to_string(),
                });
                Ok(())
            }
            Err(CanaryError::Interrupted) => Err(DeployError::Stopped),
            Err(source) => Err(DeployError::Canary {
                stage: edge.to_string(),
                source: Box::new(source),
            }),
        }
    }
}
