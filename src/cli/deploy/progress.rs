//! Events of a run, as lines and live progress.

use crate::deploy::event::Event;
use crate::deploy::layout::Stage;
use crate::deploy::plan::Action;
use crate::report::Progress;

use super::view;

/// Shows one event. Lines have the form `context > profile > object state`.
pub(super) fn show(progress: &mut Progress, event: Event) {
    match event {
        Event::StageStarted(stage) => progress.say(&subject(&stage), "deploying"),
        Event::Applied {
            stage,
            object,
            action,
        } => {
            let text = format!("{}/{} {}", object.kind, object.name, done(action));
            progress.say(&subject(&stage), &text);
        }
        Event::Waiting { stage, object, why } => {
            let line = format!("{} > {}/{}", subject(&stage), object.kind, object.name);
            progress.waiting(&line, &why);
        }
        Event::Ready { stage, object } => {
            let line = format!("{} > {}/{}", subject(&stage), object.kind, object.name);
            progress.done(&line);
        }
        Event::Address {
            stage,
            server,
            endpoint,
        } => {
            let text = format!("{server} is reached at {endpoint}");
            progress.say(&subject(&stage), &text);
        }
        Event::Unblocked { stage, pod } => {
            let text = format!("Pod/{pod} of an earlier revision was not ready: deleted");
            progress.say(&subject(&stage), &text);
        }
        Event::LockWatched { stage, holder } => {
            let why = format!("the lock of {holder}, who seems to be gone");
            progress.waiting(&subject(&stage), &why);
        }
        Event::LockTakenOver { stage, former } => {
            progress.done(&subject(&stage));
            let text = format!("the lock of {former} was left over: taken over");
            progress.say(&subject(&stage), &text);
        }
        Event::CanaryArrived { stage, course } => {
            progress.say(&subject(&stage), &format!("canary: {course}"));
        }
        Event::RollingBack(stage) => {
            progress.say(&subject(&stage), "taking back what was written");
        }
        Event::StageDone {
            stage,
            written,
            deleted,
            times,
        } => {
            let touched = view::touched(written, deleted);
            let text = format!("ready after {times}, {touched}");
            progress.say(&subject(&stage), &text);
        }
    }
}

/// What was done to an object.
const fn done(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Conflict => "taken over",
        Action::Keep | Action::Refuse => "unchanged",
        Action::Recreate => "deleted and made anew",
        Action::Delete => "deleted: no longer wanted",
    }
}

/// Cluster and profile; once where both have the same name.
fn subject(stage: &Stage) -> String {
    if stage.context == stage.profile.name() {
        return stage.context.clone();
    }
    format!("{} > {}", stage.context, stage.profile)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::profile::Profile;

    #[test]
    fn a_cluster_that_is_called_like_its_profile_is_named_once() {
        let stage = |profile, context: &str| Stage {
            profile,
            context: context.to_owned(),
            namespace: String::new(),
        };
        assert_eq!(subject(&stage(Profile::Central, "central")), "central");
        assert_eq!(
            subject(&stage(Profile::Shared, "central")),
            "central > shared"
        );
    }
}
