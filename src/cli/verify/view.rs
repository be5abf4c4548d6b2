//! How the proof looks: all sources, what does not hold, files, and the answer last.

use std::fmt::Write as _;

use crate::cli::number::grouped;
use crate::report::{Cell, Coloring, Emphasis, Table, visible};
use crate::store::proof::{Comparison, Expired, Proof, SourceProof, State};

use super::{FileReport, words};

/// What is left out where the terminal is too narrow, in this order.
const DISPENSABLE: [&str; 3] = ["DIGEST", "BYTES", "PASS"];

/// Everything.
pub(super) fn page(
    proof: &Proof,
    files: &[FileReport],
    columns: Option<usize>,
    coloring: Coloring,
) -> String {
    let mut text = String::new();
    if !proof.sources.is_empty() {
        let mut table = sources(proof);
        table.fit(columns, &DISPENSABLE);
        text.push_str(&table.render(coloring));
        text.push('\n');
    }
    for source in proof.sources.iter().filter(|one| !one.flaws.is_empty()) {
        text.push_str(&details(source));
        text.push('\n');
    }
    text.push_str(&besides(proof));
    for file in files {
        text.push_str(&of_file(file));
        text.push('\n');
    }
    text.push_str(&answer(proof, files));
    text
}

/// Passes of a source that are complete are one row: in loop mode there are many.
fn sources(proof: &Proof) -> Table {
    let mut table = Table::new(&[
        "SOURCE",
        "DIGEST",
        "PASS",
        "STATE",
        "READ",
        "STORED",
        "QUARANTINED",
        "DEAD",
        "MISSING",
        "BYTES",
    ]);
    let alike = |a: &SourceProof, b: &SourceProof| {
        a.source == b.source && a.state() == State::Complete && b.state() == State::Complete
    };
    for passes in proof.sources.chunk_by(alike) {
        table.row(row(passes));
    }
    table
}

fn row(passes: &[SourceProof]) -> Vec<Cell> {
    let Some(first) = passes.first() else {
        return Vec::new();
    };
    let (state, emphasis) = state(first.state());
    let sum = |number: fn(&SourceProof) -> u64| grouped(passes.iter().map(number).sum());
    let pass = match passes {
        [one] => one.pass.0.clone(),
        _ => format!("{} passes", grouped(passes.len() as u64)),
    };
    let read = match first.read() {
        Some(_) => sum(|one| one.read().unwrap_or_default()),
        None => "-".to_owned(),
    };
    let missing = match first.missing() {
        Some(rows) if rows < 0 => format!("-{}", grouped(rows.unsigned_abs())),
        Some(_) => sum(|one| one.missing().unwrap_or_default().unsigned_abs()),
        None => "-".to_owned(),
    };
    let covered = grouped(first.tiling.covered);
    let bytes = match first.end {
        Some(end) if end.size == first.tiling.covered => covered,
        Some(end) => format!("{covered} of {}", grouped(end.size)),
        None => format!("{covered} so far"),
    };
    vec![
        format!("{}/{}", first.source.cluster, first.source.name).into(),
        first
            .source
            .digest
            .chars()
            .take(12)
            .collect::<String>()
            .into(),
        pass.into(),
        Cell::new(state, emphasis),
        read.into(),
        sum(|one| one.stored).into(),
        sum(|one| one.quarantined).into(),
        sum(|one| one.dead_lettered).into(),
        missing.into(),
        bytes.into(),
    ]
}

/// A state in one word, and how it stands out.
pub(super) const fn state(state: State) -> (&'static str, Emphasis) {
    match state {
        State::Complete => ("complete", Emphasis::Good),
        State::Growing => ("growing", Emphasis::Warning),
        State::Incomplete => ("incomplete", Emphasis::Bad),
    }
}

fn details(source: &SourceProof) -> String {
    let mut text = format!("incomplete: {}, pass {}\n", source.source, source.pass.0);
    let mut remedies = Vec::new();
    for flaw in &source.flaws {
        for (heading, said) in words::flaw(flaw, source) {
            if heading == "do" {
                remedies.push(said);
            } else {
                line(&mut text, heading, &said);
            }
        }
    }
    if let Some(missing) = source.missing().filter(|missing| *missing > 0) {
        let (missing, read) = (missing.unsigned_abs(), source.read().unwrap_or_default());
        let said = format!("{} of {} rows", grouped(missing), grouped(read));
        line(&mut text, "nowhere", &said);
    }
    remedies.dedup();
    for remedy in remedies {
        line(&mut text, "do", &remedy);
    }
    visible(&text).into_owned()
}

fn line(text: &mut String, heading: &str, said: &str) {
    let said = said.replace('\n', " ");
    writeln!(text, "  {heading:<10} {said}").unwrap_or_default();
}

/// What is of no source.
fn besides(proof: &Proof) -> String {
    let mut text = String::new();
    for stray in &proof.strays {
        let samples = grouped(stray.samples);
        let whose = match &stray.cluster {
            Some(cluster) => format!("of cluster {cluster}"),
            None => "of unknown series".to_owned(),
        };
        let said = format!("{samples} samples {whose} that no row of the ledger accounts for");
        line(&mut text, "strays", &said);
    }
    if !proof.strays.is_empty() {
        line(&mut text, "do", words::BY_HAND);
    }
    let letters = proof.dead_letters;
    if letters.total > 0 {
        let mut said = format!("{} entries could not be stored", grouped(letters.total));
        if letters.unreadable > 0 {
            let unreadable = grouped(letters.unreadable);
            said.push_str(&format!(
                "; {unreadable} of them do not tell of which source"
            ));
        }
        said.push_str(": SELECT incarnation, sequence, reason FROM dead_letter");
        line(&mut text, "dead", &said);
    }
    if !text.is_empty() {
        text = format!("besides:\n{text}\n");
    }
    visible(&text).into_owned()
}

fn of_file(file: &FileReport) -> String {
    let mut text = format!("file: {}\n", file.path.display());
    let digest = format!("{} ({} bytes)", file.digest, grouped(file.size));
    let is_growing = file.reading.as_ref().is_some_and(|one| one.is_growing);
    let heading = if is_growing { "head" } else { "SHA-256" };
    line(&mut text, heading, &digest);
    match &file.reading {
        None => line(&mut text, "differs", &words::unknown(file)),
        Some(reading) => {
            let total = &reading.total;
            let mut said = format!(
                "{} rows of {} series, sum {}",
                grouped(total.rows),
                grouped(reading.series()),
                total.sum
            );
            if reading.is_growing {
                said.push_str(&format!(", up to byte {}", grouped(reading.size)));
            }
            line(&mut text, "has", &said);
        }
    }
    for (cluster, found) in &file.clusters {
        let heading = match found {
            Comparison::Same { .. } => "same",
            Comparison::Unfinished | Comparison::Shared => "open",
            _ => "differs",
        };
        let said = format!("{cluster}: {}", words::comparison(found));
        line(&mut text, heading, &said);
    }
    visible(&text).into_owned()
}

fn answer(proof: &Proof, files: &[FileReport]) -> String {
    if proof.sources.is_empty() && proof.holds() {
        let text = "The store is empty: nothing was read into it yet.\n";
        let unknown = files.iter().any(FileReport::is_contradiction);
        return if unknown {
            format!("{text}A file is not in the store.\n")
        } else {
            text.to_owned()
        };
    }
    let states = [State::Complete, State::Growing, State::Incomplete];
    let counts: Vec<String> = states
        .into_iter()
        .map(|one| (proof.count(one), state(one).0))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", grouped(count as u64)))
        .collect();
    let counts = match counts.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let mut samples = grouped(proof.samples);
    if proof.expired.rows > 0 {
        let Expired { rows, on_arrival } = proof.expired;
        let (rows, on_arrival) = (grouped(rows), grouped(on_arrival));
        write!(
            samples,
            "; expired: {rows}, of which on arrival: {on_arrival}"
        )
        .unwrap_or_default();
    }
    let differs = files.iter().any(FileReport::is_contradiction);
    let is_open = !files.iter().all(FileReport::is_proven);
    let said = match (proof.holds(), differs, proof.is_complete()) {
        (false, ..) => "Not proven: what is listed above does not hold.",
        (true, true, _) => "The store agrees with itself, and not with a file.",
        (true, false, true) if is_open => {
            "The store agrees with itself; of a file above it cannot be told."
        }
        (true, false, true) if proof.expired.rows > 0 => {
            "Proven, by ranges and counts: every row that was read was stored once, or set aside; those \
             that expired are counted."
        }
        (true, false, true) => {
            "Proven, by ranges and counts: every row that was read is stored once, or set aside."
        }
        (true, false, false) => "Nothing is wrong so far; what is growing is not signed off yet.",
    };
    format!("Sources and passes: {counts}. Samples: {samples}.\n{said}\n")
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
