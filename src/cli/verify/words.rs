//! What does not hold, in words: the same in the table and in JSON. Pure.

use crate::cli::number::grouped;
use crate::model::source::{BatchId, ByteRange};
use crate::store::proof::{Comparison, Flaw, Gap, Letter, Overlap, Piece, SourceProof, Sums};

use super::FileReport;

/// A batch that came in this recently may have others behind it.
const RECENT: u64 = 60;

/// What to do where the store contradicts itself.
pub(super) const BY_HAND: &str = "telectl writes ledger and samples in one transaction, so somebody else changed \
                       them: restore a dump of the database, or give the pipeline an empty one, which \
                       it fills again from its sources";
const READ_AGAIN: &str = "if its streamers have come to the end, let them read their sources again, \
                          which stores nothing twice: UPDATE store_token SET token = gen_random_uuid()";

/// A heading and what stands behind it.
pub(super) type Said = (&'static str, String);

/// One flaw: what it is first, then what lies around it, then what to do.
pub(super) fn flaw(flaw: &Flaw, source: &SourceProof) -> Vec<Said> {
    match flaw {
        Flaw::Gap(found) => gap(found, source),
        Flaw::DeadLetter(found) => {
            vec![("letter", dead_letter(found)), ("do", about_letter(found))]
        }
        Flaw::Overlap(found) => overlap(found, source),
        Flaw::Beyond(found) => vec![
            (
                "beyond",
                format!(
                    "{} reach beyond the {} bytes that were signed off",
                    piece(found),
                    grouped(source.extent().end)
                ),
            ),
            ("do", BY_HAND.to_owned()),
        ],
        Flaw::Rows { ledger, signed_off } => differing("rows", "rows", *ledger, *signed_off),
        Flaw::Quarantined { ledger, signed_off } => {
            differing("rows", "quarantined rows", *ledger, *signed_off)
        }
        Flaw::Kept { ledger, kept } => vec![
            (
                "quarantine",
                format!(
                    "the ledger counts {} quarantined rows, the table quarantine has {}",
                    grouped(*ledger),
                    grouped(*kept)
                ),
            ),
            ("do", BY_HAND.to_owned()),
        ],
        Flaw::Samples {
            ledger,
            found,
            times,
            others,
        } => vec![
            ("samples", samples(*ledger, *found, *times, *others)),
            ("do", BY_HAND.to_owned()),
        ],
    }
}

fn differing(heading: &'static str, what: &str, ledger: u64, signed_off: u64) -> Vec<Said> {
    let (ledger, signed_off) = (grouped(ledger), grouped(signed_off));
    let said =
        format!("every byte is covered, with {ledger} {what}, and {signed_off} were signed off");
    vec![(heading, said), ("do", BY_HAND.to_owned())]
}

fn gap(found: &Gap, source: &SourceProof) -> Vec<Said> {
    let tiling = &source.tiling;
    let mut first = format!(
        "{} of {} are not in the ledger",
        bytes(found.range),
        grouped(source.extent().end)
    );
    if tiling.gaps > 1 {
        first.push_str(&format!(
            ", the first of {} gaps with {} bytes",
            grouped(tiling.gaps),
            grouped(tiling.missing)
        ));
    }
    let neighbour =
        |piece_of: Option<&Piece>, none: &str| piece_of.map_or_else(|| none.to_owned(), piece);
    let mut said = vec![
        ("gap", first),
        (
            "before",
            neighbour(found.before.as_ref(), "the start of the source"),
        ),
        (
            "after",
            neighbour(found.after.as_ref(), "the end of the source"),
        ),
    ];
    if let Some(letter) = &found.letter {
        said.push(("letter", dead_letter(letter)));
    }
    said.push(("do", what_to_do(found, source)));
    said
}

fn dead_letter(letter: &Letter) -> String {
    format!(
        "{} with {} rows, batch {}, could not be stored: {}",
        bytes(letter.range),
        grouped(letter.rows),
        letter.batch,
        letter.reason
    )
}

fn about_letter(letter: &Letter) -> String {
    let BatchId {
        incarnation,
        sequence,
    } = &letter.batch;
    format!(
        "remove the cause; the entry is in the table dead_letter, incarnation {}, sequence {sequence}",
        incarnation.0
    )
}

fn what_to_do(found: &Gap, source: &SourceProof) -> String {
    match (&found.letter, source.silent_for) {
        (Some(letter), _) => about_letter(letter),
        (None, Some(age)) if age < RECENT => format!(
            "the last batch of it was stored {age} s ago, so more may be under way: look again"
        ),
        (None, None) => {
            format!(
                "nothing of it was stored yet, so it may be under way: look again; then, {READ_AGAIN}"
            )
        }
        (None, Some(_)) => READ_AGAIN.to_owned(),
    }
}

fn overlap(found: &Overlap, source: &SourceProof) -> Vec<Said> {
    let mut first = format!("{} are in the ledger twice", bytes(found.range));
    if source.tiling.overlaps > 1 {
        let count = grouped(source.tiling.overlaps);
        first.push_str(&format!(", the first of {count} overlaps"));
    }
    vec![
        ("overlap", first),
        ("first", piece(&found.first)),
        ("second", piece(&found.second)),
        ("do", BY_HAND.to_owned()),
    ]
}

fn samples(ledger: u64, found: u64, times: Option<(i64, i64)>, others: u64) -> String {
    let difference = if found < ledger {
        format!("{} missing", grouped(ledger - found))
    } else {
        format!("{} too many", grouped(found - ledger))
    };
    let mut said = format!(
        "the ledger counts {} rows, {} samples are there: {difference}",
        grouped(ledger),
        grouped(found)
    );
    if let Some((first, last)) = times {
        said.push_str(&format!(
            ", between {} and {}",
            instant(first),
            instant(last)
        ));
    }
    if others > 0 {
        let (sources, passes) = match others {
            1 => ("source", "pass"),
            _ => ("sources", "passes"),
        };
        let others = grouped(others);
        said.push_str(&format!(
            ", together with {others} other {sources} or {passes} of the same times"
        ));
    }
    said
}

/// Microseconds since the epoch as text.
pub(super) fn instant(time: i64) -> String {
    jiff::Timestamp::from_microsecond(time)
        .map_or_else(|_| format!("{time} µs"), |time| time.to_string())
}

/// `bytes 0..400`, numbers grouped.
pub(super) fn bytes(range: ByteRange) -> String {
    format!("bytes {}..{}", grouped(range.start), grouped(range.end))
}

fn piece(piece: &Piece) -> String {
    format!(
        "{} by {}, batch {}",
        bytes(piece.range),
        piece.streamer,
        piece.batch
    )
}

/// How a file compares in a cluster.
pub(super) fn comparison(found: &Comparison) -> String {
    match found {
        Comparison::Same { passes: 1, series } => format!(
            "the same: every row of {} series, by count, sum, smallest and largest value",
            grouped(*series)
        ),
        Comparison::Same { passes, series } => format!(
            "the same, {} times: every row of {} series, by count, sum, smallest and largest value",
            grouped(*passes),
            grouped(*series)
        ),
        Comparison::Unfinished => "still being read: look again once it is complete".to_owned(),
        Comparison::Shared => "cannot be told: another source of this cluster has samples of the \
                               same series at the same times"
            .to_owned(),
        Comparison::Rows { file, signed_off } => format!(
            "the file has {} rows, and {} were signed off",
            grouped(*file),
            grouped(*signed_off)
        ),
        Comparison::NoRow(no_row) => format!(
            "line {} is no row ({}), and was not quarantined",
            grouped(no_row.line),
            no_row.reason
        ),
        Comparison::Series {
            labels,
            line,
            file,
            store,
            differing,
        } => format!(
            "{} series differ, the first is {} of GPU {} on {} (line {}): the file has {}, the \
             store {}",
            grouped(*differing),
            labels.metric,
            labels.uuid,
            labels.host,
            grouped(*line),
            sums(file),
            sums(store)
        ),
    }
}

fn sums(sums: &Sums) -> String {
    let range = sums.range.map_or_else(String::new, |(least, most)| {
        format!(" from {least} to {most}")
    });
    format!(
        "{} rows, {} values{range}, sum {}",
        grouped(sums.rows),
        grouped(sums.values),
        sums.sum
    )
}

/// What is known of a file that no cluster has read.
pub(super) fn unknown(file: &FileReport) -> String {
    match &file.same_name {
        Some(source) => format!(
            "no source has this content; {source} has the same name, so the file is another one now"
        ),
        None => "no source has this content: it was not read, or is another file".to_owned(),
    }
}
