//! The exit codes of the command line, one meaning each.

/// How a command ended, as a shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or nothing to do.
    Ok = 0,
    /// It failed.
    Error = 1,
    /// The command line, or a file that it names (values, kubeconfig, CSV), is wrong.
    Usage = 2,
    /// There are changes to apply (only with `--exit-code`).
    ChangesPending = 3,
    /// At least one check failed.
    ValidationFailed = 4,
    /// Some clusters are done and some are not.
    Partial = 5,
    /// It failed and what had been done was taken back.
    RolledBack = 6,
    /// A deadline passed.
    Timeout = 7,
    /// Somebody else holds the lock.
    LockHeld = 8,
    /// Stopped by an interrupt (Ctrl-C).
    Interrupted = 130,
    /// Stopped by a termination signal.
    Terminated = 143,
}

impl ExitCode {
    /// Every code, in order.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Error,
        Self::Usage,
        Self::ChangesPending,
        Self::ValidationFailed,
        Self::Partial,
        Self::RolledBack,
        Self::Timeout,
        Self::LockHeld,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that a shell sees.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What it means, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Usage => "wrong flags or input files",
            Self::ChangesPending => "changes pending (with --exit-code)",
            Self::ValidationFailed => "validation failed, or not well",
            Self::Partial => "partial",
            Self::RolledBack => "rolled back",
            Self::Timeout => "timeout",
            Self::LockHeld => "lock held",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }

    /// When a command ends with it, and what to do.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Ok => "It is done, or there was nothing to do.",
            Self::Error => {
                "It failed: the last lines on standard error say why, with causes, and what was done."
            }
            Self::Usage => {
                "A flag, an argument, a values file, the fleet file, the kubeconfig, a CSV file or a dump \
                 is wrong or missing. Nothing was written to any cluster."
            }
            Self::ChangesPending => {
                "`telectl plan --exit-code` found something to change. Without the flag it ends with 0."
            }
            Self::ValidationFailed => {
                "`telectl validate`, `telectl lint`, `telectl status` or `telectl verify data` found \
                 something wrong; with --fail-on warning a warning is enough. The report says what to \
                 do about each finding. `telectl registry show` ends with it where the registered \
                 address does not answer, `telectl restore` where what was restored is not what was \
                 dumped."
            }
            Self::Partial => {
                "Some clusters have been changed and some have not; the report lists both. Deploy \
                 again once the cause is gone: what is done already is found and left alone."
            }
            Self::RolledBack => {
                "It failed, and what had been done was taken back in every cluster."
            }
            Self::Timeout => {
                "A deadline passed; the last lines name what was still awaited and why. Give more time \
                 with --timeout, or look at the pods that are named."
            }
            Self::LockHeld => {
                "Somebody else deploys the same profile to the same namespace right now; the message \
                 names the holder. The lock expires by itself if its holder died."
            }
            Self::Interrupted => {
                "Ctrl-C: work under way was brought to a clean stop, and the last lines say what is \
                 done and what is not."
            }
            Self::Terminated => "As 130, for a termination signal.",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}
