//! Where a record of CSV ends and where its fields are: RFC 4180, strictly.
//!
//! A lenient parser takes a stray quote for the start of a text that runs on over the following
//! lines, and so loses them. Here a quote out of place is an error at once, so that the damage
//! stays within its line.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

/// One field within a record's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// First byte, of the quote if there is one.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    Quoted,
    /// Quoted, with doubled quotes inside.
    Escaped,
}

impl Field {
    /// What the field says.
    pub(super) fn content<'a>(&self, record: &'a [u8]) -> Cow<'a, [u8]> {
        let raw = &record[self.start..self.end];
        match self.shape {
            Shape::Plain => Cow::Borrowed(raw),
            Shape::Quoted => Cow::Borrowed(&raw[1..raw.len() - 1]),
            Shape::Escaped => {
                let mut text = Vec::with_capacity(raw.len());
                let mut rest = &raw[1..raw.len() - 1];
                while let Some(at) = memchr(b'"', rest) {
                    text.extend_from_slice(&rest[..=at]);
                    rest = &rest[at + 2..];
                }
                text.extend_from_slice(rest);
                Cow::Owned(text)
            }
        }
    }
}

/// What stands at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// A record.
    Record {
        /// Without its line break.
        length: usize,
        /// With its line break.
        with_end: usize,
    },
    /// The bytes end before the record does.
    Unfinished,
    /// Not CSV; the words say why.
    Malformed(&'static str),
}

/// Finds the record at the start of `bytes`, which begin with neither CR nor LF, and its fields.
/// `complete` says that nothing follows the bytes.
pub(super) fn split(bytes: &[u8], complete: bool, fields: &mut Vec<Field>) -> Split {
    fields.clear();
    let mut at = 0;
    loop {
        let field = match field(bytes, at) {
            Ok(field) => field,
            Err(split) if complete && split == Split::Unfinished => {
                return Split::Malformed(UNBALANCED);
            }
            Err(split) => return split,
        };
        at = field.end;
        fields.push(field);
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b'\n') => {
                return Split::Record {
                    length: at,
                    with_end: at + 1,
                };
            }
            Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => {
                return Split::Record {
                    length: at,
                    with_end: at + 2,
                };
            }
            Some(b'\r') if at + 1 < bytes.len() || complete => {
                return Split::Malformed("carriage return without line feed");
            }
            None if complete => {
                return Split::Record {
                    length: at,
                    with_end: at,
                };
            }
            Some(b'\r') | None => return Split::Unfinished,
            Some(_) => return Split::Malformed("unbalanced quote: text follows a closing quote"),
        }
    }
}

const UNBALANCED: &str = "unbalanced quote: it is never closed";

/// The field at `start`, which ends before a comma, at a line break, or with the bytes.
pub(super) fn field(bytes: &[u8], start: usize) -> Result<Field, Split> {
    if bytes.get(start) == Some(&b'"') {
        return quoted_field(bytes, start);
    }
    let rest = &bytes[start..];
    let mut length = memchr3(b',', b'\n', b'"', rest).unwrap_or(rest.len());
    if rest.get(length) == Some(&b'"') {
        return Err(Split::Malformed(
            "unbalanced quote: it stands within an unquoted field",
        ));
    }
    // The end of the line, or a stray one, which the caller refuses.
    if let Some(carriage_return) = memchr(b'\r', &rest[..length]) {
        length = carriage_return;
    }
    Ok(Field {
        start,
        end: start + length,
        shape: Shape::Plain,
    })
}

fn quoted_field(bytes: &[u8], start: usize) -> Result<Field, Split> {
    let mut shape = Shape::Quoted;
    let mut at = start + 1;
    loop {
        let quote = memchr(b'"', &bytes[at..]).ok_or(Split::Unfinished)?;
        at += quote + 1;
        if bytes.get(at) != Some(&b'"') {
            return Ok(Field {
                start,
                end: at,
                shape,
            });
        }
        shape = Shape::Escaped;
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split_text(text: &str) -> Result<Vec<String>, Split> {
        let mut fields = Vec::new();
        match split(text.as_bytes(), true, &mut fields) {
            Split::Record { length, .. } => Ok(fields
                .iter()
                .map(|field| {
                    let content = field.content(&text.as_bytes()[..length]);
                    String::from_utf8(content.into_owned()).unwrap()
                })
                .collect()),
            other => Err(other),
        }
    }

    #[test]
    fn fields_are_unquoted_and_unescaped() {
        assert_eq!(
            split_text("a,\"b,\nc\",\"say \"\"x\"\"\",,\"\"\r\nnext"),
            Ok(["a", "b,\nc", "say \"x\"", "", ""]
                .map(str::to_owned)
                .to_vec())
        );
    }

    #[test]
    fn quotes_out_of_place_are_errors_within_the_line() {
        for text in ["a,\"b", "\"a\"b,c\n", "a\"b,c\n", "\"a,b\n\"c\"\n"] {
            let split = split_text(text);
            assert!(
                matches!(split, Err(Split::Malformed(why)) if why.starts_with("unbalanced quote")),
                "{text:?}: {split:?}"
            );
        }
        assert!(matches!(split_text("a\rb\n"), Err(Split::Malformed(_))));
    }

    proptest! {
        /// Whatever the `csv` crate writes is read back, byte by byte as it arrives.
        #[test]
        fn what_the_csv_crate_writes_is_split_alike(
            cells in prop::collection::vec("[a,\"\n\r é]{0,6}", 1..6),
            always in any::<bool>(),
        ) {
            let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let mut writer = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
            writer.write_record(&cells).unwrap();
            let bytes = writer.into_inner().unwrap();
            let mut fields = Vec::new();
            for end in 0..bytes.len() {
                prop_assert_eq!(split(&bytes[..end], false, &mut fields), Split::Unfinished);
            }
            let text = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(split_text(&text), Ok(cells));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop::sample::select(b"a,\"\r\n".to_vec()), 0..20), complete in any::<bool>()) {
            let mut fields = Vec::new();
            if let Split::Record { length, with_end } = split(&bytes, complete, &mut fields) {
                prop_assert!(length <= with_end && with_end <= bytes.len());
                for field in fields {
                    drop(field.content(&bytes[..length]));
                }
            }
        }
    }
}
