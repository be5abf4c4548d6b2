//! The text that Prometheus exporters answer with, one line at a time: strictly, and never more than
//! a line at once, so that one that is broken costs itself only.

use std::borrow::Cow;

use crate::model::time::EventTime;

/// Names and texts.
type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// One value of one series.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Labels<'a>,
    /// As it is written.
    pub(super) value: &'a str,
    /// When it was measured, if the exporter says so.
    pub(super) time: Option<EventTime>,
}

/// What a line says; `None` if it is empty or a comment.
pub(super) fn sample(line: &str) -> Result<Option<Sample<'_>>, String> {
    let line = line.trim_matches([' ', '\t', '\r']);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = identifier(line, true).ok_or("no metric name")?;
    let (labels, rest) = match rest.trim_start_matches([' ', '\t']).strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None if rest.is_empty() || rest.starts_with([' ', '\t']) => (Vec::new(), rest),
        None => return Err(format!("`{}` follows the name", shown(rest))),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().ok_or("no value")?;
    let time = words.next().map(time).transpose()?;
    if let Some(more) = words.next() {
        return Err(format!("`{}` follows the value and its time", shown(more)));
    }
    Ok(Some(Sample {
        name,
        labels,
        value,
        time,
    }))
}

/// The labels behind an opening brace, and what follows the closing one.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), String> {
    let mut labels: Labels<'_> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, after) = identifier(rest, false).ok_or("no label name, or no closing brace")?;
        let after = after.trim_start_matches([' ', '\t']);
        let quoted = after
            .strip_prefix('=')
            .map(|after| after.trim_start_matches([' ', '\t']))
            .and_then(|after| after.strip_prefix('"'));
        let quoted = quoted.ok_or_else(|| format!("no text of label `{name}`"))?;
        let (text, after) = quoted_text(quoted).ok_or_else(|| {
            format!("the text of label `{name}` has no end, or an escape that is none")
        })?;
        if labels.iter().any(|(known, _)| *known == name) {
            return Err(format!("label `{name}` is there twice"));
        }
        labels.push((name, text));
        rest = after.trim_start_matches([' ', '\t']);
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.starts_with('}') => rest,
            None => return Err(format!("no comma or brace after label `{name}`")),
        };
    }
}

/// A text up to its closing quote, and what follows that.
fn quoted_text(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text[end..].starts_with('"') {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut content = String::new();
    let mut symbols = text.char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '"' => return Some((Cow::Owned(content), &text[at + 1..])),
            '\\' => content.push(match symbols.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            symbol => content.push(symbol),
        }
    }
    None
}

/// A name at the start of a text, and what follows it.
fn identifier(text: &str, is_metric: bool) -> Option<(&str, &str)> {
    let fits = |symbol: char| {
        symbol.is_ascii_alphanumeric() || symbol == '_' || (is_metric && symbol == ':')
    };
    let end = text.find(|symbol| !fits(symbol)).unwrap_or(text.len());
    let starts_well = !text.starts_with(|symbol: char| symbol.is_ascii_digit());
    (end > 0 && starts_well).then(|| text.split_at(end))
}

/// Milliseconds since the epoch.
fn time(text: &str) -> Result<EventTime, String> {
    let milliseconds = text.parse::<i64>().ok();
    let micros = milliseconds.and_then(|milliseconds| milliseconds.checked_mul(1000));
    micros
        .map(EventTime)
        .ok_or_else(|| format!("bad timestamp `{}`", shown(text)))
}

fn shown(text: &str) -> &str {
    let end = text.char_indices().nth(60).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// A label as the text form writes it.
pub(super) fn written(name: &str, text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{name}=\"{}\"", text.replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_a_sample_a_comment_or_an_error_that_says_why() {
        let text = "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\", UUID=\"GPU-1\",modelName=\"a \\\"b\\\" \\\\ c\",} 17 1752871354000\r";
        let found = sample(text).unwrap().unwrap();
        assert_eq!(found.name, "DCGM_FI_DEV_GPU_UTIL");
        assert_eq!(found.labels[2], ("modelName", "a \"b\" \\ c".into()));
        assert_eq!((found.value, found.labels.len()), ("17", 3));
        assert_eq!(found.time, Some(EventTime(1_752_871_354_000_000)));
        let bare = sample("up 1").unwrap().unwrap();
        assert_eq!((bare.name, bare.labels.len(), bare.time), ("up", 0, None));
        for nothing in ["", "  ", "# HELP a b", "# EOF", "\r"] {
            assert_eq!(sample(nothing).unwrap(), None);
        }
        for (broken, why) in [
            ("{a=\"b\"} 1", "no metric name"),
            ("1up 1", "no metric name"),
            ("up", "no value"),
            ("up-1 1", "`-1 1` follows the name"),
            ("up{} ", "no value"),
            ("up{a=\"b\"", "no comma or brace"),
            ("up{a=\"b\",", "no label name, or no closing brace"),
            ("up{a=b} 1", "no text of label `a`"),
            ("up{a=\"b} 1", "has no end"),
            ("up{a=\"\\x\"} 1", "an escape that is none"),
            ("up{a=\"b\" c=\"d\"} 1", "no comma"),
            ("up{a=\"b\",a=\"c\"} 1", "twice"),
            ("up 1 soon", "bad timestamp `soon`"),
            ("up 1 2 3", "follows the value"),
        ] {
            let error = sample(broken).unwrap_err();
            assert!(error.contains(why), "{broken}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in any::<String>()) {
            let line = format!("m{{{}}} 1", written("a", &text));
            // A line has no end within it.
            prop_assume!(!line.contains('\n'));
            let found = sample(&line).unwrap().unwrap();
            prop_assert_eq!(&found.labels, &[("a", Cow::from(text))]);
        }

        #[test]
        fn no_line_makes_it_panic(line in "[a-z{}=\",\\\\ 0-9é]{0,40}") {
            drop(sample(&line));
        }
    }
}
