//! Settings: layered values for the operator side, typed settings for the workers.
//!
//! The only reader of the environment ([`environment`]) and of settings files. Layers, weakest
//! first: built-in, profile, user file, fleet file, `-f` in order, environment, `--set` in order,
//! other flags. [`resolve()`] merges them, keeps who set what, and checks the result.

mod aliases;
mod check;
pub mod compare;
mod duplicate;
pub mod environment;
mod error;
pub mod fleet;
mod ineffective;
mod intake;
pub mod json_schema;
mod key_path;
mod layer;
mod locate;
pub mod overlay;
mod passwords;
mod profiles;
pub mod quantity;
mod resolve;
mod schema;
mod set;
mod source;
mod typing;
pub mod values;
mod variables;
pub mod worker;

pub use duplicate::Duplicate;
pub use error::{ConfigError, Problem, ProblemKind, Warning};
pub use intake::GivenSecret;
pub use key_path::KeyPath;
pub use layer::{Assignment, Place};
pub use resolve::{FlagValue, Layers, Resolved, ValuesFile, keys, resolve, unknown_variables};
pub use source::Source;
pub use variables::values as variables;
