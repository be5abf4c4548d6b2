//! Errors in one line.

use std::error::Error;

/// An error and its causes in one line; a cause that its parent's text contains is not repeated.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut parent = text.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !parent.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        parent = cause_text;
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Said {
        text: &'static str,
        #[source]
        source: Option<Box<Self>>,
    }

    fn said(text: &'static str, source: Option<Said>) -> Said {
        let source = source.map(Box::new);
        Said { text, source }
    }

    #[test]
    fn a_cause_that_its_parent_has_said_is_not_said_again() {
        let refused = said("refused", None);
        let error = said(
            "no list",
            Some(said("no connection: refused", Some(refused))),
        );
        assert_eq!(chain(&error), "no list: no connection: refused");
    }
}
