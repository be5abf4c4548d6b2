//! What the clusters held when the locks were taken. Nothing that telectl writes can change under
//! its locks, so as long as the run itself has written nothing to a namespace it need not ask
//! again: over many clusters that is most of the time of a run which changes little.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::join_all;

use super::layout::Stage;
use super::progressed::Ledger;
use super::run::Run;
use crate::cluster::snapshot::Snapshot;

/// For how long others are trusted to have changed nothing that matters. What is written is held
/// against the server's own answer in any case.
const FRESH: Duration = Duration::from_secs(10);

/// What each stage's namespace held, and when that was.
pub(super) struct Looks {
    at: Instant,
    snapshots: BTreeMap<Stage, Snapshot>,
}

impl Looks {
    /// None: every stage is looked at when its turn comes.
    pub(super) fn none() -> Self {
        Self {
            at: Instant::now(),
            snapshots: BTreeMap::new(),
        }
    }

    /// What a stage's namespace still holds; `None` where it has to be looked at.
    pub(super) fn still(&self, stage: &Stage, ledger: &Ledger) -> Option<Snapshot> {
        let is_over = ledger.is_touched(stage) || self.at.elapsed() > FRESH;
        let seen = self.snapshots.get(stage);
        seen.filter(|_| !is_over).cloned()
    }
}

impl Run<'_> {
    /// Looks at all stages at once. A cluster that does not answer is met again at its turn.
    pub(super) async fn look_at_all(&self) -> Looks {
        let at = Instant::now();
        let looking = self.stages.iter().map(|(stage, _)| async move {
            let seen = Snapshot::take(self.cluster(stage), &stage.namespace).await;
            Some((stage.clone(), seen.ok()?))
        });
        let seen = join_all(looking).await;
        Looks {
            at,
            snapshots: seen.into_iter().flatten().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Action;
    use super::*;
    use crate::model::object::{ObjectKind, ObjectRef};
    use crate::model::profile::Profile;

    fn stage(profile: Profile) -> Stage {
        Stage {
            profile,
            context: "north".to_owned(),
            namespace: "ns".to_owned(),
        }
    }

    #[test]
    fn a_look_holds_until_the_run_writes_anything_or_it_is_old() {
        let (edge, central) = (stage(Profile::Edge), stage(Profile::Central));
        let snapshots = || BTreeMap::from([(edge.clone(), Snapshot::default())]);
        let at = Instant::now();
        let mut looks = Looks {
            at,
            snapshots: snapshots(),
        };
        let ledger = Ledger::default();
        assert!(looks.still(&edge, &ledger).is_some());
        assert!(looks.still(&central, &ledger).is_none(), "not looked at");
        let elsewhere = Stage {
            context: "south".to_owned(),
            ..central.clone()
        };
        let object = ObjectRef::new(ObjectKind::Service, "ns", "redis");
        ledger.begin_write(&elsewhere, &object);
        assert!(looks.still(&edge, &ledger).is_some(), "another cluster");
        ledger.begin_write(&central, &object);
        assert!(looks.still(&edge, &ledger).is_none(), "it may be written");
        ledger.finish_write(&central, &object, Action::Update);
        assert!(looks.still(&edge, &ledger).is_none(), "it is written");
        if let Some(earlier) = at.checked_sub(2 * FRESH) {
            looks.at = earlier;
            assert!(looks.still(&edge, &Ledger::default()).is_none(), "old");
        }
    }
}
