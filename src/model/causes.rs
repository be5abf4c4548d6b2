//! Errors in one line.

use std::error::Error;

/// An error and its causes in one line; a cause that its parent's text contains is not repeated.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    let causes = causes(&text, error.source());
    let texts: Vec<String> = std::iter::once(text).chain(causes).collect();
    texts.join(": ")
}

/// The texts of an error and of its causes, but not one that the text before it contains; `said` is
/// the text before the first.
pub fn causes(said: &str, mut next: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    while let Some(error) = next {
        let text = error.to_string();
        let before = texts.last().map_or(said, String::as_str);
        if !before.contains(&text) {
            texts.push(text);
        }
        next = error.source();
    }
    texts
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
