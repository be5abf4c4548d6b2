//! What is said about dumps. Pure.

use std::path::Path;

use crate::backup::{Manifest, Parity, Restored, State, Step, Verified};
use crate::cli::targets::Targets;

/// How far it has come. Where nobody watches, words that stay the same are said once in a while only.
pub(super) fn step(step: Step, is_interactive: bool) -> String {
    match step {
        Step::Dumped(bytes) if is_interactive => format!("dumping, {}", size(bytes)),
        Step::Dumped(_) => "dumping".to_owned(),
        Step::Sent(sent, all) if is_interactive => {
            format!("restoring, {} of {} sent", size(sent), size(all))
        }
        Step::Sent(..) => "restoring".to_owned(),
        Step::Counting => "counting what was restored".to_owned(),
    }
}

fn size(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1024 * 1024;
    if bytes < MEBIBYTE {
        format!("{} KiB", bytes.div_ceil(1024))
    } else {
        format!("{} MiB", bytes / MEBIBYTE)
    }
}

/// What was dumped.
pub(super) fn taken(manifest: &Manifest, file: &Path) -> String {
    let Manifest {
        dump,
        taken_at,
        proof,
        ..
    } = manifest;
    format!(
        "{}: {} of {taken_at}, {}\nSHA-256 {}",
        file.display(),
        size(dump.size),
        held(proof),
        dump.sha256
    )
}

/// What a dump holds.
fn held(proof: &Parity) -> String {
    format!(
        "{} samples of {} series and {} sources on {} days, {} ranges of the ledger",
        proof.rows("sample"),
        proof.rows("series"),
        proof.rows("source"),
        days(proof),
        proof.rows("ledger")
    )
}

fn days(proof: &Parity) -> usize {
    let days = proof.days.iter().map(|one| &one.day);
    days.collect::<std::collections::BTreeSet<_>>().len()
}

/// What was found out about a dump before anything was touched.
pub(super) fn verified(verified: &Verified) -> String {
    let (file, size) = (verified.file.display(), size(verified.size));
    match &verified.manifest {
        Some(manifest) => format!(
            "{file}: {size}, SHA-256 as in its proof; taken at {} by telectl {} from database {} \
             of PostgreSQL {}: {}",
            manifest.taken_at,
            manifest.telectl_version,
            manifest.database,
            manifest.postgresql_version,
            held(&manifest.proof)
        ),
        None => format!("{file}: {size}, SHA-256 {}", verified.sha256),
    }
}

/// What is there now.
pub(super) fn restored(restored: &Restored, state: &State) -> String {
    let (database, held) = (&state.database, held(&restored.proof));
    if restored.is_proven {
        format!("Restored into {database} and proven: {held}; every table is what was dumped.")
    } else {
        format!("Restored into {database}, not proven: {held}.")
    }
}

/// What is to be done next.
pub(super) fn afterwards(targets: &Targets) -> String {
    const AGAIN: &str = "The streamers send again what the dump does not have, as far as they \
                         still have their sources.";
    match &targets.central {
        None => format!("Start the collectors again. {AGAIN}"),
        Some(context) => format!(
            "Start the collectors again: kubectl --context {context} -n {} scale deployment \
             -l app.kubernetes.io/component=collector --replicas=1. {AGAIN}",
            super::namespace(targets)
        ),
    }
}
