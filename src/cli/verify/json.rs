//! The proof for programs.

use serde::Serialize;
use serde_json::{Value, json};

use crate::model::source::ByteRange;
use crate::store::proof::{Comparison, Flaw, Letter, Piece, Proof, SourceProof, State};

use super::{FileReport, view, words};

/// Version of this form; fields are only ever added.
const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct ReportView<'a> {
    schema_version: u32,
    /// Nothing contradicts.
    ok: bool,
    /// There are sources, and every one is complete.
    complete: bool,
    summary: SummaryView,
    samples: u64,
    expired: Value,
    sources: Vec<SourceView<'a>>,
    strays: Vec<Value>,
    dead_letters: Value,
    files: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct SummaryView {
    complete: usize,
    growing: usize,
    incomplete: usize,
}

#[derive(Debug, Serialize)]
struct SourceView<'a> {
    cluster: &'a str,
    name: &'a str,
    digest: &'a str,
    pass: &'a str,
    state: &'static str,
    size: Option<u64>,
    read_rows: Option<u64>,
    stored_rows: u64,
    quarantined_rows: u64,
    dead_lettered_rows: u64,
    missing_rows: Option<i64>,
    covered_bytes: u64,
    missing_bytes: u64,
    gaps: u64,
    overlaps: u64,
    first_event: Option<String>,
    last_event: Option<String>,
    last_batch_age_seconds: Option<u64>,
    flaws: Vec<Value>,
}

/// All of it.
pub(super) fn report(proof: &Proof, files: &[FileReport]) -> String {
    let differs = files.iter().any(FileReport::is_contradiction);
    let view = ReportView {
        schema_version: SCHEMA_VERSION,
        ok: proof.holds() && !differs,
        complete: proof.is_complete(),
        summary: SummaryView {
            complete: proof.count(State::Complete),
            growing: proof.count(State::Growing),
            incomplete: proof.count(State::Incomplete),
        },
        samples: proof.samples,
        expired: json!({
            "rows": proof.expired.rows,
            "on_arrival": proof.expired.on_arrival,
        }),
        sources: proof.sources.iter().map(source).collect(),
        strays: proof
            .strays
            .iter()
            .map(|stray| json!({ "cluster": stray.cluster, "samples": stray.samples }))
            .collect(),
        dead_letters: json!({
            "total": proof.dead_letters.total,
            "unreadable": proof.dead_letters.unreadable,
        }),
        files: files.iter().map(file).collect(),
    };
    serde_json::to_string_pretty(&view).unwrap_or_default()
}

fn source(proof: &SourceProof) -> SourceView<'_> {
    SourceView {
        cluster: &proof.source.cluster,
        name: &proof.source.name,
        digest: &proof.source.digest,
        pass: &proof.pass.0,
        state: view::state(proof.state()).0,
        size: proof.end.map(|end| end.size),
        read_rows: proof.read(),
        stored_rows: proof.stored,
        quarantined_rows: proof.quarantined,
        dead_lettered_rows: proof.dead_lettered,
        missing_rows: proof.missing(),
        covered_bytes: proof.tiling.covered,
        missing_bytes: proof.tiling.missing,
        gaps: proof.tiling.gaps,
        overlaps: proof.tiling.overlaps,
        first_event: proof.times.map(|(first, _)| words::instant(first)),
        last_event: proof.times.map(|(_, last)| words::instant(last)),
        last_batch_age_seconds: proof.silent_for,
        flaws: proof.flaws.iter().map(|one| flaw(one, proof)).collect(),
    }
}

/// Its kind, its words as in the table, and its parts.
fn flaw(flaw: &Flaw, source: &SourceProof) -> Value {
    let (kind, parts) = match flaw {
        Flaw::Gap(gap) => (
            "gap",
            json!({
                "range": range(gap.range),
                "before": gap.before.as_ref().map(piece),
                "after": gap.after.as_ref().map(piece),
                "dead_letter": gap.letter.as_ref().map(letter),
            }),
        ),
        Flaw::DeadLetter(found) => ("dead_letter", json!({ "dead_letter": letter(found) })),
        Flaw::Overlap(overlap) => (
            "overlap",
            json!({
                "range": range(overlap.range),
                "first": piece(&overlap.first),
                "second": piece(&overlap.second),
            }),
        ),
        Flaw::Beyond(beyond) => ("beyond", json!({ "piece": piece(beyond) })),
        Flaw::Rows { ledger, signed_off } => (
            "rows",
            json!({ "ledger": ledger, "signed_off": signed_off }),
        ),
        Flaw::Quarantined { ledger, signed_off } => (
            "quarantined",
            json!({ "ledger": ledger, "signed_off": signed_off }),
        ),
        Flaw::Kept { ledger, kept } => ("kept", json!({ "ledger": ledger, "kept": kept })),
        Flaw::Samples {
            ledger,
            found,
            times,
            others,
        } => (
            "samples",
            json!({
                "ledger": ledger,
                "found": found,
                "first_event": times.map(|(first, _)| words::instant(first)),
                "last_event": times.map(|(_, last)| words::instant(last)),
                "other_sources": others,
            }),
        ),
    };
    let mut said = words::flaw(flaw, source).into_iter();
    let message = said.next().map(|(_, words)| words);
    let remedy = said.next_back().map(|(_, words)| words);
    json!({ "kind": kind, "message": message, "remedy": remedy, "found": parts })
}

fn range(range: ByteRange) -> Value {
    json!({ "start": range.start, "end": range.end })
}

fn piece(piece: &Piece) -> Value {
    json!({
        "range": range(piece.range),
        "streamer": piece.streamer,
        "incarnation": piece.batch.incarnation.0,
        "sequence": piece.batch.sequence,
    })
}

fn letter(letter: &Letter) -> Value {
    json!({
        "range": range(letter.range),
        "rows": letter.rows,
        "incarnation": letter.batch.incarnation.0,
        "sequence": letter.batch.sequence,
        "reason": letter.reason,
    })
}

fn file(report: &FileReport) -> Value {
    let total = report.reading.as_ref().map(|reading| reading.total);
    let clusters: Vec<Value> = report
        .clusters
        .iter()
        .map(|(cluster, found)| {
            json!({
                "cluster": cluster,
                "result": result(found),
                "message": words::comparison(found),
            })
        })
        .collect();
    json!({
        "path": report.path.display().to_string(),
        "digest": report.digest,
        "size": report.size,
        "known": report.reading.is_some(),
        "compared_to": report.reading.as_ref().map(|reading| reading.size),
        "rows": total.map(|total| total.rows),
        "values": total.map(|total| total.values),
        "sum": total.map(|total| total.sum),
        "series": report.reading.as_ref().map(super::Reading::series),
        "clusters": clusters,
    })
}

const fn result(found: &Comparison) -> &'static str {
    match found {
        Comparison::Same { .. } => "same",
        Comparison::Unfinished => "unfinished",
        Comparison::Shared => "shared",
        Comparison::Rows { .. } => "rows_differ",
        Comparison::NoRow(_) => "no_row",
        Comparison::Series { .. } => "series_differ",
    }
}
