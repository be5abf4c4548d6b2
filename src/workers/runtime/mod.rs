//! What the workers share: logging, signals, supervision, health, metrics and the log level over
//! HTTP or HTTPS, and the registration.

pub mod about;
pub mod dependency;
pub mod http;
pub mod log_level;
pub mod logging;
pub(crate) mod problem;
pub mod registration;
pub mod signals;
pub mod supervisor;
pub mod tls;
pub(crate) mod token;
pub mod worker;
