//! The exit codes of what runs until it is stopped: workers and the demo.

use crate::model::exit::ExitCode;
use crate::workers::runtime::signals::Signal;
use crate::workers::runtime::supervisor::Ended;

/// How the process ends after its tasks.
pub(super) const fn after(ended: &Ended) -> ExitCode {
    match ended {
        Ended::Stopped => ExitCode::Ok,
        Ended::Failed { .. } | Ended::GracePassed(_) => ExitCode::Error,
        Ended::Aborted(signal) => cut_short(*signal),
    }
}

/// How a process ends that a signal has cut short.
pub(super) const fn cut_short(signal: Signal) -> ExitCode {
    match signal {
        Signal::Interrupt => ExitCode::Interrupted,
        Signal::Terminate => ExitCode::Terminated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w18_only_an_orderly_stop_is_a_success() {
        let failed = Ended::Failed {
            task: "core",
            reason: "disk on fire".to_owned(),
        };
        for (ended, code) in [
            (Ended::Stopped, ExitCode::Ok),
            (failed, ExitCode::Error),
            (Ended::GracePassed(vec!["core"]), ExitCode::Error),
            (Ended::Aborted(Signal::Interrupt), ExitCode::Interrupted),
            (Ended::Aborted(Signal::Terminate), ExitCode::Terminated),
        ] {
            assert_eq!(after(&ended), code, "{ended:?}");
        }
    }
}
