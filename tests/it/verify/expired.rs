//! Files of which days are not kept any more.

use std::fmt::Write as _;

use super::{HEADER, Pipeline, json, text, verify};
use crate::store_retention::days_since;

/// The last ten seconds of a day, and the first twenty of the next.
fn two_days() -> String {
    let mut lines = HEADER.to_owned();
    for row in 0..30 {
        let time = match row {
            0..10 => format!("18T23:59:{}", 50 + row),
            _ => format!("19T00:00:{:02}", row - 10),
        };
        writeln!(lines, "2025-07-{time}Z,UTIL,0,GPU-{},host,{row}.5", row % 3).expect("a text");
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_proven_of_which_a_day_is_not_kept() {
    let retention = days_since("2025-07-19").to_string();
    let more = [("RETENTION", retention), ("INGEST", "max".to_owned())];
    let Some(pipeline) = Pipeline::start(&two_days(), &more).await else {
        return;
    };
    pipeline.complete().await;
    assert_eq!(pipeline.sql("SELECT count(*) FROM sample"), "20");
    let file = text(&pipeline.file);
    let answer = verify(&pipeline.database, &["--complete", "--file", file]).await;
    answer.assert(
        0,
        &[
            "Samples: 20; expired: 10, of which on arrival: 10.",
            "those that expired are counted",
        ],
    );
    let report = json(&pipeline.database, &["--file", file]).await;
    assert_eq!(report["expired"]["on_arrival"], 10, "{report:#}");
    // A value of the day that is gone is still known: per series and day, not row by row.
    let changed = pipeline.other_file(&two_days().replace(",3.5\n", ",4.5\n"));
    let digest = "UPDATE source SET digest = '{}'";
    let sum = sha256(&changed);
    pipeline.sql(&digest.replace("{}", &sum));
    let answer = verify(&pipeline.database, &["--file", text(&changed)]).await;
    answer.assert(4, &["The store agrees with itself, and not with a file."]);
}

fn sha256(path: &std::path::Path) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(std::fs::read(path).expect("a file")))
}
