//! How the two sides of a change look: what differs, and only so much around it. Pure.

use serde_json::Value;

/// How many symbols of a value are shown.
const SHOWN: usize = 120;
/// How many symbols before the first difference are shown.
const BEFORE: usize = 40;
/// How many changed lines of a text are shown.
const LINES: usize = 8;
/// Texts with more changed lines than this are shown as replaced in whole.
const COMPARED: usize = 2000;

/// A change in lines: `FIELD: OLD → NEW`, or the changed lines of a text.
pub(super) fn lines(field: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    if let (Some(old), Some(new)) = (
        before.and_then(Value::as_str),
        after.and_then(Value::as_str),
    ) && (old.contains('\n') || new.contains('\n'))
    {
        return of_text(field, old, new);
    }
    let (before, after) = sides(before, after);
    vec![format!("{field}: {before} → {after}")]
}

/// Both sides of a change, each in one line, cut around the first difference.
pub(super) fn sides(before: Option<&Value>, after: Option<&Value>) -> (String, String) {
    let text = |value: Option<&Value>| value.map_or_else(|| "(none)".to_owned(), Value::to_string);
    let (before_text, after_text) = (text(before), text(after));
    let start = match (before, after) {
        (Some(_), Some(_)) => common(before_text.chars(), after_text.chars()),
        _ => 0,
    };
    (cut(&before_text, start), cut(&after_text, start))
}

/// A text in at most [`SHOWN`] symbols, so that the symbol at `difference` is among them.
fn cut(text: &str, difference: usize) -> String {
    let length = text.chars().count();
    if length <= SHOWN {
        return text.to_owned();
    }
    // Once the end is reached, more of what stands before it fits.
    let start = difference
        .saturating_sub(BEFORE)
        .min(length.saturating_sub(SHOWN));
    let shown: String = text.chars().skip(start).take(SHOWN).collect();
    let (left, right) = (
        if start > 0 { "…" } else { "" },
        if start + SHOWN < length { "…" } else { "" },
    );
    format!("{left}{shown}{right}")
}

fn common<T: PartialEq>(old: impl Iterator<Item = T>, new: impl Iterator<Item = T>) -> usize {
    old.zip(new).take_while(|(old, new)| old == new).count()
}

fn of_text(field: &str, old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (split(old), split(new));
    let changed = changed_lines(&old, &new);
    let mut lines = vec![format!("{field}:")];
    let shown = match changed.as_slice() {
        // One line became another: show where.
        [('-', old), ('+', new)] => {
            let start = common(old.chars(), new.chars());
            vec![('-', cut(old, start)), ('+', cut(new, start))]
        }
        several => several
            .iter()
            .take(LINES)
            .map(|(sign, line)| (*sign, cut(line, 0)))
            .collect(),
    };
    lines.extend(shown.iter().map(|(sign, line)| format!("  {sign} {line}")));
    match changed.len().saturating_sub(LINES) {
        0 => {}
        1 => lines.push("  … and 1 more line".to_owned()),
        more => lines.push(format!("  … and {more} more lines")),
    }
    lines
}

/// The lines of a text, so that a missing newline at its end is seen as a changed line.
fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n')
        .map(|line| line.strip_suffix('\n').unwrap_or(line))
        .chain((!text.is_empty() && !text.ends_with('\n')).then_some("(no newline at the end)"))
        .collect()
}

/// The lines that only one of the texts has (`-` the old, `+` the new), in order.
fn changed_lines<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let head = common(old.iter(), new.iter());
    let (old, new) = (&old[head..], &new[head..]);
    let tail = common(old.iter().rev(), new.iter().rev());
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let gone = |lines: &[&'a str]| lines.iter().map(|line| ('-', *line)).collect::<Vec<_>>();
    let come = |lines: &[&'a str]| lines.iter().map(|line| ('+', *line)).collect::<Vec<_>>();
    if old.len() > COMPARED || new.len() > COMPARED {
        return [gone(old), come(new)].concat();
    }
    let longest = longest_common(old, new);
    let (mut left, mut right) = (0, 0);
    let mut changed = Vec::new();
    while left < old.len() && right < new.len() {
        if old[left] == new[right] {
            (left, right) = (left + 1, right + 1);
        } else if longest[left + 1][right] >= longest[left][right + 1] {
            changed.push(('-', old[left]));
            left += 1;
        } else {
            changed.push(('+', new[right]));
            right += 1;
        }
    }
    changed.extend(gone(&old[left..]));
    changed.extend(come(&new[right..]));
    changed
}

/// How many lines the rests of both texts from a line on have in common, in order.
fn longest_common(old: &[&str], new: &[&str]) -> Vec<Vec<u16>> {
    let mut longest = vec![vec![0_u16; new.len() + 1]; old.len() + 1];
    for left in (0..old.len()).rev() {
        for right in (0..new.len()).rev() {
            longest[left][right] = if old[left] == new[right] {
                longest[left + 1][right + 1] + 1
            } else {
                longest[left + 1][right].max(longest[left][right + 1])
            };
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        lines(".data.x", Some(&json!(before)), Some(&json!(after)))
    }

    #[test]
    fn a_text_shows_the_lines_that_differ_and_no_others() {
        let old = "bind *\n# a comment that is as long as it is\nmaxmemory 100mb\nappendonly yes\n";
        let new = old
            .replace("100mb", "400mb")
            .replace("bind *\n", "bind *\nport 0\n");
        assert_eq!(
            shown(old, &new),
            [
                ".data.x:",
                "  + port 0",
                "  - maxmemory 100mb",
                "  + maxmemory 400mb"
            ]
        );
    }

    #[test]
    fn more_changed_lines_than_fit_are_counted() {
        let old: String = (0..20).map(|line| format!("old {line}\n")).collect();
        let new: String = (0..20).map(|line| format!("new {line}\n")).collect();
        let shown = shown(&old, &new);
        assert_eq!(shown.len(), 1 + LINES + 1);
        assert_eq!(shown[LINES + 1], "  … and 32 more lines");
    }

    #[test]
    fn a_missing_newline_at_the_end_is_a_difference() {
        assert_eq!(
            shown("a\nb\n", "a\nb"),
            [".data.x:", "  + (no newline at the end)"]
        );
    }

    #[test]
    fn long_values_are_cut_around_the_first_difference() {
        let old = format!("{}OLD{}", "a".repeat(300), "b".repeat(300));
        let new = old.replace("OLD", "NEW");
        let [line] = shown(&old, &new).try_into().unwrap();
        assert!(line.contains("aOLDb") && line.contains("aNEWb"), "{line}");
        assert!(line.contains("…aaa") && line.contains("bbb…"), "{line}");
        assert!(line.chars().count() < 3 * SHOWN, "{line}");
        let long = shown(&format!("x\n{old}\n"), &format!("x\n{new}\n"));
        assert!(
            long[1].contains("aOLDb") && long[2].contains("aNEWb"),
            "{long:?}"
        );
    }

    #[test]
    fn a_difference_at_the_end_or_beyond_it_is_seen() {
        let short = "a".repeat(200);
        let long = format!("{short}END");
        let (before, after) = sides(Some(&json!(short)), Some(&json!(long)));
        assert!(after.ends_with("aEND\""), "{after}");
        assert!(before.ends_with("a\""), "{before}");
    }

    #[test]
    fn what_comes_or_goes_is_shown_from_its_beginning() {
        let (before, after) = sides(None, Some(&json!("x".repeat(200))));
        assert_eq!(before, "(none)");
        assert!(
            after.starts_with("\"xxx") && after.ends_with('…'),
            "{after}"
        );
        assert_eq!(lines("f", Some(&json!(1)), Some(&json!(2))), ["f: 1 → 2"]);
    }
}
