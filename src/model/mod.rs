//! Vocabulary: the words that every other layer uses. No I/O, no clock, no randomness.

pub mod backoff;
pub mod batch;
pub mod canary;
pub mod causes;
pub mod component;
pub mod consent;
pub mod endpoint;
pub mod exit;
pub mod freshness;
pub mod growing;
pub mod labels;
pub mod likeness;
pub mod limits;
pub mod manifest;
pub mod object;
pub mod profile;
pub mod secret;
pub mod service_record;
pub mod shell;
pub mod source;
pub mod time;
