//! A file in the wide form, one column to a metric. The first byte says how it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telectl_fuzz::csv::check;

const HEADER: &[u8] =
    b"timestamp,gpu_id,uuid,gpu_name,hostname,gpu_utilization,memory_utilization,\
                        temperature,power_draw\n";

fuzz_target!(|bytes: &[u8]| match bytes {
    // With a header of its own.
    [0, file @ ..] => check(file, 2),
    [records, rows @ ..] => check(&[HEADER, rows].concat(), usize::from(records % 8) + 1),
    [] => {}
});
