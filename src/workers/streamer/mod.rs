//! The streamer: reads a source, keeps its batches in a spool, and publishes them to the queue.

pub mod csv;
