//! Sources in the wide form.

use super::{Pipeline, verify};

#[tokio::test]
async fn w03_the_wide_form_is_stored_by_metric_and_agrees_with_an_independent_reading() {
    let mut text = "timestamp, index, uuid, name, hostname, pstate, utilization.gpu [%], \
                    memory.used [MiB], power.draw [W], DCGM_FI_PROF_SM_ACTIVE\n"
        .to_owned();
    for row in 0..400 {
        let (minute, second, gpu) = (row / 60, row % 60, row % 4);
        let utilization = match row {
            100 => "ERR!".to_owned(),
            _ if row % 50 == 7 => "[N/A]".to_owned(),
            _ => format!("{} %", row % 97),
        };
        // Not measured with every record.
        let memory = if row % 10 == 3 {
            String::new()
        } else {
            format!("{} MiB", row * 3)
        };
        text.push_str(&format!(
            "2025/07/18 20:{minute:02}:{second:02}.250, {gpu}, GPU-{gpu}, H100 80GB, node-1, P0, \
             {utilization}, {memory}, {row}.25 W, 0.5\n"
        ));
    }
    let Some(pipeline) = Pipeline::start(&text, &[]).await else {
        return;
    };
    pipeline.complete().await;
    let file = super::text(&pipeline.file);
    let answer = verify(&pipeline.database, &["--complete", "--file", file]).await;
    answer.assert(0, &["the same: every row of 16 series"]);
    // 399 records of four metrics, without those 40 cells that are empty.
    let counted =
        "SELECT count(*), count(value), sum(value) FROM sample JOIN series USING (series_id)
                   WHERE metric = 'DCGM_FI_DEV_";
    let of = |metric: &str| pipeline.sql(&format!("{counted}{metric}'"));
    let utilization: i32 = (0..400)
        .filter(|row| row % 50 != 7 && *row != 100)
        .map(|row| row % 97)
        .sum();
    assert_eq!(of("GPU_UTIL"), format!("399|391|{utilization}"));
    let memory: i32 = (0..400)
        .filter(|row| row % 10 != 3 && *row != 100)
        .map(|row| row * 3)
        .sum();
    assert_eq!(of("FB_USED"), format!("359|359|{memory}"));
    assert_eq!(pipeline.sql("SELECT count(*) FROM sample"), "1556");
    let quarantined = pipeline.sql("SELECT line, reason FROM quarantine");
    assert_eq!(quarantined, "102|bad DCGM_FI_DEV_GPU_UTIL ` ERR!`");
    let labels = pipeline.sql("SELECT DISTINCT host, model FROM series");
    assert_eq!(labels, "node-1|H100 80GB");
}
