//! What the demo shows: a few GPUs and one line about all of them. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::{Cell, Emphasis, Table};
use crate::store::{Gpu, SourceProgress, Statistics, TelemetryPoint};

use super::super::number::grouped;

/// How many GPUs the table has room for.
pub(super) const SHOWN: usize = 10;

const UTILISATION: &str = "DCGM_FI_DEV_GPU_UTIL";
const TEMPERATURE: &str = "DCGM_FI_DEV_GPU_TEMP";
const POWER: &str = "DCGM_FI_DEV_POWER_USAGE";
const MEMORY: &str = "DCGM_FI_DEV_FB_USED";

/// From this temperature on (degrees Celsius) a GPU stands out.
const HOT: f64 = 80.0;

/// What is left out where the terminal is too narrow, in this order.
const DISPENSABLE: [&str; 4] = ["MODEL", "MEMORY", "POWER", "TEMP"];

/// The busiest GPUs, hottest first among equals, in as many columns as fit.
pub(super) fn gpu_table(gpus: &[Gpu], latest: &[TelemetryPoint], width: usize) -> Table {
    let mut table = whole_table(gpus, latest);
    for heading in DISPENSABLE {
        if table.width() <= width {
            break;
        }
        table.remove(heading);
    }
    table
}

fn whole_table(gpus: &[Gpu], latest: &[TelemetryPoint]) -> Table {
    let mut values: BTreeMap<(&str, &str), BTreeMap<&str, f64>> = BTreeMap::new();
    for point in latest {
        if let Some(value) = point.value {
            values
                .entry((&point.cluster, &point.uuid))
                .or_default()
                .insert(&point.metric, value);
        }
    }
    let nothing = BTreeMap::new();
    let mut rows: Vec<(&Gpu, &BTreeMap<&str, f64>)> = gpus
        .iter()
        .map(|gpu| {
            let key = (gpu.cluster.as_str(), gpu.uuid.as_str());
            (gpu, values.get(&key).unwrap_or(&nothing))
        })
        .collect();
    let rank = |values: &BTreeMap<&str, f64>, metric| values.get(metric).copied().unwrap_or(-1.0);
    rows.sort_by(|(_, left), (_, right)| {
        rank(right, UTILISATION)
            .total_cmp(&rank(left, UTILISATION))
            .then(rank(right, TEMPERATURE).total_cmp(&rank(left, TEMPERATURE)))
    });
    let mut table = Table::new(&["HOST", "GPU", "MODEL", "UTIL", "TEMP", "POWER", "MEMORY"]);
    for (gpu, values) in rows.into_iter().take(SHOWN) {
        let value = |metric, unit| number(values.get(metric).copied(), unit);
        let is_hot = values.get(TEMPERATURE).is_some_and(|value| *value >= HOT);
        let heat = if is_hot {
            Emphasis::Warning
        } else {
            Emphasis::None
        };
        table.row(vec![
            gpu.hostname.clone().into(),
            gpu.gpu_id.clone().into(),
            gpu.model_name.clone().into(),
            value(UTILISATION, "%").into(),
            Cell::new(value(TEMPERATURE, "°C"), heat),
            value(POWER, "W").into(),
            value(MEMORY, "MiB").into(),
        ]);
    }
    table
}

fn number(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0} {unit}"))
}

/// How far the file has come.
pub(super) fn progress_line(progress: Option<&SourceProgress>, statistics: &Statistics) -> String {
    let stored = grouped(statistics.total_records);
    let gpus = grouped(statistics.unique_gpus);
    match progress.and_then(|progress| progress.expected_rows) {
        Some(expected) => format!(
            "{stored} of {} samples stored, {gpus} GPUs",
            grouped(expected)
        ),
        None => format!("{stored} samples stored, {gpus} GPUs"),
    }
}

/// What has been stored in the end.
pub(super) fn summary(statistics: &Statistics, quarantined: u64, time: Duration) -> String {
    let mut text = format!(
        "{} samples, {} GPUs, {} hosts, in {:.1} s",
        grouped(statistics.total_records),
        grouped(statistics.unique_gpus),
        grouped(statistics.unique_hosts),
        time.as_secs_f64()
    );
    if quarantined > 0 {
        text.push_str(&format!(" ({} rows set aside)", grouped(quarantined)));
    }
    text
}

/// Whether every row of the file is in the store.
pub(super) fn is_complete(progress: &SourceProgress) -> bool {
    progress.size == Some(progress.covered_bytes)
        && progress.expected_rows == Some(progress.stored_rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Coloring;

    #[test]
    fn the_busiest_gpu_comes_first_and_a_missing_value_is_a_dash() {
        let gpu = |gpu_id: &str| Gpu {
            cluster: "demo".to_owned(),
            uuid: format!("GPU-{gpu_id}"),
            gpu_id: gpu_id.to_owned(),
            hostname: "host-a".to_owned(),
            device: format!("nvidia{gpu_id}"),
            model_name: "H100".to_owned(),
        };
        let point = |gpu_id: &str, metric: &str, value: f64| TelemetryPoint {
            timestamp: jiff::Timestamp::UNIX_EPOCH,
            metric: metric.to_owned(),
            value: Some(value),
            uuid: format!("GPU-{gpu_id}"),
            hostname: "host-a".to_owned(),
            gpu_id: gpu_id.to_owned(),
            cluster: "demo".to_owned(),
            position: crate::store::Position::default(),
        };
        let gpus = [gpu("0"), gpu("1")];
        let latest = [
            point("0", UTILISATION, 3.0),
            point("1", UTILISATION, 98.0),
            point("1", TEMPERATURE, 41.0),
        ];
        assert_eq!(
            gpu_table(&gpus, &latest, usize::MAX).render(Coloring::Plain),
            "HOST    GPU  MODEL  UTIL  TEMP   POWER  MEMORY\n\
             host-a  1    H100   98 %  41 °C  -      -\n\
             host-a  0    H100   3 %   -      -      -\n"
        );
        assert_eq!(
            gpu_table(&gpus, &latest, 32).render(Coloring::Plain),
            "HOST    GPU  UTIL  TEMP   POWER\n\
             host-a  1    98 %  41 °C  -\n\
             host-a  0    3 %   -      -\n"
        );
    }
}
