//! The one place where a person agrees to what a command is about to do.

use crate::model::consent::Confirmed;
use crate::model::exit::ExitCode;
use crate::report::PromptError;

use super::error::CliError;
use super::session::Session;

/// How consent is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// A person is asked.
    Ask,
    /// `--yes` said it.
    Given,
}

/// Asks, unless `--yes` was given. Without a terminal and without `--yes` it refuses.
pub(super) fn obtain(
    session: &Session,
    consent: Consent,
    question: &str,
) -> Result<Confirmed, CliError> {
    if consent == Consent::Given {
        return Ok(agreed());
    }
    decided(session.ui.confirm(question))
}

/// Asks for a name to be typed, where more is lost than can be made again.
pub(super) fn obtain_by_name(
    session: &Session,
    consent: Consent,
    question: &str,
    name: &str,
) -> Result<Confirmed, CliError> {
    if consent == Consent::Given {
        return Ok(agreed());
    }
    let answer = session.ui.ask(question);
    decided(answer.map(|answer| answer.trim() == name))
}

fn decided(answer: Result<bool, PromptError>) -> Result<Confirmed, CliError> {
    match answer {
        Ok(true) => Ok(agreed()),
        Ok(false) => Err(CliError::with_code(
            ExitCode::Error,
            "nothing was changed: not confirmed",
        )),
        Err(error) => Err(
            CliError::usage("nothing was changed: cannot ask for confirmation")
                .because(error)
                .hint("--yes applies the plan without asking"),
        ),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that may say yes"
)]
const fn agreed() -> Confirmed {
    Confirmed::given()
}
