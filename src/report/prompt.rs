//! Questions to a person.

use std::io;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Standard input or standard error is no terminal.
    #[error("nobody can answer: there is no terminal")]
    NotInteractive,
    /// Reading the answer failed.
    #[error("cannot read the answer")]
    Unreadable(#[source] io::Error),
}

impl From<dialoguer::Error> for PromptError {
    fn from(error: dialoguer::Error) -> Self {
        let dialoguer::Error::IO(source) = error;
        Self::Unreadable(source)
    }
}

pub(super) fn confirm(interactive: bool, question: &str) -> Result<bool, PromptError> {
    if !interactive {
        return Err(PromptError::NotInteractive);
    }
    Ok(dialoguer::Confirm::new()
        .with_prompt(question)
        .default(false)
        .interact()?)
}

pub(super) fn text(interactive: bool, question: &str) -> Result<String, PromptError> {
    if !interactive {
        return Err(PromptError::NotInteractive);
    }
    Ok(dialoguer::Input::new()
        .with_prompt(question)
        .allow_empty(true)
        .interact_text()?)
}
