//! What holds for every input, apart from how inputs are made. A check panics if it does not hold.

pub mod codec;
pub mod csv;
pub mod registration;
pub mod spool;
