//! Errors and what caused them, as text.

use std::error::Error;

/// An error and its causes in one line.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    let causes = causes(&text, error.source());
    std::iter::once(text)
        .chain(causes)
        .collect::<Vec<String>>()
        .join(": ")
}

/// The texts of an error and of its causes. Some libraries repeat their source in their own text: a
/// cause that the text before it contains is left out; `said` is the text before the first.
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
    use super::with_causes;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn a_cause_that_was_said_is_not_repeated() {
        let texts = [
            "cannot store",
            "db error: refused",
            "refused",
            "os error 111",
        ];
        let error = texts.into_iter().rev().fold(None, |source, text| {
            let source = source.map(Box::new);
            Some(Layer { text, source })
        });
        assert_eq!(
            with_causes(&error.unwrap()),
            "cannot store: db error: refused: os error 111"
        );
    }
}
