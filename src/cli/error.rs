//! Errors as a person sees them: what failed, why, what to do, and the exit code.

use std::error::Error;

use crate::model::causes::causes;
use crate::model::exit::ExitCode;
use crate::report::Ui;

/// An error with an exit code and hints. The only place where the two are decided.
#[derive(Debug)]
pub struct CliError {
    exit: ExitCode,
    message: String,
    causes: Vec<String>,
    details: Vec<String>,
    hints: Vec<String>,
}

impl CliError {
    /// Something failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::with_code(ExitCode::Error, message)
    }

    /// The command line or a file that it needs is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::with_code(ExitCode::Usage, message)
    }

    /// Any exit code.
    pub fn with_code(exit: ExitCode, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            details: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Something failed with this error; its own words are the message.
    pub fn from_error(exit: ExitCode, error: &(dyn Error + 'static)) -> Self {
        let mut made = Self::with_code(exit, error.to_string());
        made.push_chain(error.source());
        made
    }

    /// Adds an error and its chain as causes.
    #[must_use]
    pub fn because(mut self, error: impl Error + 'static) -> Self {
        self.push_chain(Some(&error));
        self
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds a line that says more about what is and what is not.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// The same with another exit code.
    #[must_use]
    pub const fn exiting(mut self, exit: ExitCode) -> Self {
        self.exit = exit;
        self
    }

    /// Adds what to do; a sentence that starts with a command or a verb.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The exit code.
    pub const fn exit_code(&self) -> ExitCode {
        self.exit
    }

    /// Prints it.
    pub fn print(&self, ui: &Ui) {
        if self.message.is_empty() {
            return;
        }
        ui.error(&self.said());
        for hint in &self.hints {
            ui.hint(hint);
        }
    }

    /// Everything but the hints.
    fn said(&self) -> String {
        let mut text = self.message.clone();
        for cause in &self.causes {
            text.push_str("\n  caused by: ");
            text.push_str(cause);
        }
        for detail in &self.details {
            text.push_str("\n  ");
            text.push_str(detail);
        }
        text
    }

    /// Everything, for tests.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        let lines = std::iter::once(self.said()).chain(self.hints.iter().cloned());
        lines.collect::<Vec<String>>().join("\n")
    }

    fn push_chain(&mut self, next: Option<&(dyn Error + 'static)>) {
        let said = self.causes.last().unwrap_or(&self.message);
        let causes = causes(said, next);
        self.causes.extend(causes);
    }
}

/// A reader that closed standard output has seen enough.
impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::with_code(ExitCode::Ok, "");
        }
        Self::failed("cannot write the output").because(error)
    }
}
