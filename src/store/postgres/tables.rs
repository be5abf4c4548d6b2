//! The tables that are telectl's: what a restore may replace.

/// Every table of the newest schema but the partitions of `sample`, sorted.
pub const TABLES: [&str; 11] = [
    "canary",
    "dead_letter",
    "expired",
    "ledger",
    "quarantine",
    "sample",
    "series",
    "signed_off",
    "source",
    "store_schema",
    "store_token",
];

/// Those of them that hold what was collected.
pub const DATA: [&str; 8] = [
    "dead_letter",
    "expired",
    "ledger",
    "quarantine",
    "sample",
    "series",
    "signed_off",
    "source",
];
