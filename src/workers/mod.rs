//! The workers that this binary runs in the pods, and what they share.

pub mod api_gateway;
pub mod collector;
pub mod demo;
pub mod fetch;
pub mod probe;
#[cfg(test)]
mod protocol;
pub mod runtime;
pub mod streamer;
pub mod vitals;
