//! A registration as it stands in etcd.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| telectl_fuzz::registration::check(bytes));
