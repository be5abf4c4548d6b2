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

/// For how long others are trusted to have changed nothing that matters: what is written is held
/// against the server's own answer, and a Secret that appeared meanwhile is not taken.
const FRESH: Duration = Duration::from_secs(5);

/// What each stage's namespace held, and since when that is known.
pub(super) struct Looks(BTreeMap<Stage, (Instant, Snapshot)>);

impl Looks {
    /// None: every stage is looked at when its turn comes.
    pub(super) const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// What a stage's namespace still holds; `None` where it has to be looked at.
    pub(super) fn still(&self, stage: &Stage, ledger: &Ledger) -> Option<Snapshot> {
        let (at, seen) = self.0.get(stage)?;
        let is_over = ledger.is_touched(stage) || at.elapsed() > FRESH;
        (!is_over).then(|| seen.clone())
    }
}

impl Run<'_> {
    /// Looks at all stages that are locked, at once. A cluster that does not answer in time is met
    /// again at its turn, and nobody who says stop has to wait for it.
    pub(super) async fn look_at_all(&self) -> Looks {
        let looking = self.applied().map(|stage| async move {
            let at = Instant::now();
            let look = Snapshot::take(self.cluster(stage), &stage.namespace);
            let seen = tokio::time::timeout(FRESH, look).await.ok()?.ok()?;
            Some((stage.clone(), (at, seen)))
        });
        tokio::select! {
            seen = join_all(looking) => Looks(seen.into_iter().flatten().collect()),
            () = self.stop.cancelled() => Looks::none(),
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
        let looks_at = |at| Looks(BTreeMap::from([(edge.clone(), (at, Snapshot::default()))]));
        let at = Instant::now();
        let looks = looks_at(at);
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
            let old = looks_at(earlier);
            assert!(old.still(&edge, &Ledger::default()).is_none(), "old");
        }
    }
}
