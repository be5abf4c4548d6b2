//! A file in the long form, one row to a record. The first byte says how it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telectl_fuzz::csv::check;

const HEADER: &[u8] = b"timestamp,metric_name,gpu_id,device,uuid,modelName,Hostname,container,pod,\
                        namespace,value,labels_raw\n";

fuzz_target!(|bytes: &[u8]| match bytes {
    // With a header of its own.
    [0, file @ ..] => check(file, 2),
    [records, rows @ ..] => check(&[HEADER, rows].concat(), usize::from(records % 8) + 1),
    [] => {}
});
