//! What a check found.

use crate::probe::Cause;

use super::check::CheckInfo;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// Not as it should be, but it works.
    Warning,
    /// Not as it should be.
    Failed,
    /// No answer in time.
    TimedOut,
    /// It could not be judged.
    Skipped {
        /// Why not.
        because: String,
    },
}

impl Verdict {
    /// The verdict as it stands in reports.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// Whether it makes the run fail.
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut)
    }
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remedy {
    /// In words.
    pub text: String,
    /// As commands, in order, to be pasted into a shell.
    pub commands: Vec<String>,
}

impl Remedy {
    /// In words only.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            commands: Vec::new(),
        }
    }

    /// With commands.
    pub fn run(text: impl Into<String>, commands: Vec<String>) -> Self {
        Self {
            text: text.into(),
            commands,
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which check.
    pub check: &'static CheckInfo,
    /// Context of the cluster that it is about.
    pub cluster: String,
    /// From where it was looked: `telectl`, or a pod's position such as `edge/streamer`.
    pub vantage: String,
    /// What was looked at.
    pub subject: String,
    /// How it ended.
    pub verdict: Verdict,
    /// The cause, where there is one word for it.
    pub cause: Option<Cause>,
    /// What was seen.
    pub observed: String,
    /// What should have been seen.
    pub expected: String,
    /// What to do about it.
    pub remedy: Option<Remedy>,
    /// What was talked to, `address:port`.
    pub address: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: Option<f64>,
}

impl Finding {
    /// A finding from `telectl` itself that passed; the rest is added.
    pub fn new(check: &'static CheckInfo, cluster: &str, subject: impl Into<String>) -> Self {
        Self {
            check,
            cluster: cluster.to_owned(),
            vantage: "telectl".to_owned(),
            subject: subject.into(),
            verdict: Verdict::Passed,
            cause: None,
            observed: String::new(),
            expected: String::new(),
            remedy: None,
            address: None,
            latency_ms: None,
        }
    }

    /// Seen from a pod's position.
    #[must_use]
    pub fn from(mut self, vantage: impl Into<String>) -> Self {
        self.vantage = vantage.into();
        self
    }

    /// What was seen.
    #[must_use]
    pub fn seen(mut self, observed: impl Into<String>) -> Self {
        self.observed = observed.into();
        self
    }

    /// It failed; a cause of time becomes [`Verdict::TimedOut`].
    #[must_use]
    pub fn failed(mut self, cause: Option<Cause>, expected: impl Into<String>) -> Self {
        self.verdict = if cause == Some(Cause::TimedOut) {
            Verdict::TimedOut
        } else {
            Verdict::Failed
        };
        self.cause = cause;
        self.expected = expected.into();
        self
    }

    /// It is only worth a warning.
    #[must_use]
    pub fn warning(mut self, expected: impl Into<String>) -> Self {
        self.verdict = Verdict::Warning;
        self.expected = expected.into();
        self
    }

    /// It could not be judged.
    #[must_use]
    pub fn skipped(mut self, because: impl Into<String>) -> Self {
        self.verdict = Verdict::Skipped {
            because: because.into(),
        };
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// What was talked to and how long it took.
    #[must_use]
    pub fn timed(mut self, address: Option<&str>, latency_ms: f64) -> Self {
        self.address = address.map(str::to_owned);
        self.latency_ms = Some(latency_ms);
        self
    }
}

/// How many findings ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// As they should be.
    pub passed: usize,
    /// Worth a warning.
    pub warnings: usize,
    /// Failed.
    pub failed: usize,
    /// No answer in time.
    pub timed_out: usize,
    /// Not judged.
    pub skipped: usize,
}

impl Summary {
    /// Counts.
    pub fn of(findings: &[Finding]) -> Self {
        let mut summary = Self::default();
        for finding in findings {
            let counter = match finding.verdict {
                Verdict::Passed => &mut summary.passed,
                Verdict::Warning => &mut summary.warnings,
                Verdict::Failed => &mut summary.failed,
                Verdict::TimedOut => &mut summary.timed_out,
                Verdict::Skipped { .. } => &mut summary.skipped,
            };
            *counter += 1;
        }
        summary
    }

    /// Whether anything failed.
    pub const fn has_failures(&self) -> bool {
        self.failed + self.timed_out > 0
    }
}
