//! What went wrong with a statement, and what to do about it.

use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// An error inside this module, before it is given its place and action.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The server or the connection says so.
    #[error(transparent)]
    Server(#[from] tokio_postgres::Error),
    /// No connection was free, or none could be made, in time.
    #[error("no connection within {} s", .0.as_secs())]
    NoConnection(Duration),
    /// The pool does not work.
    #[error("{0}")]
    Pool(String),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The server took another number of rows than it was given.
    #[error("{given} rows were sent and {taken} taken")]
    Count {
        /// Rows sent.
        given: u64,
        /// Rows that the server says it took.
        taken: u64,
    },
    /// Ranges of the ledger kept changing while they were looked at.
    #[error("the ledger kept changing")]
    Contended,
    /// The data turned into another life in the middle.
    #[error("the database was replaced meanwhile")]
    Replaced,
    /// It is an error of the store already.
    #[error(transparent)]
    Store(Box<StoreError>),
}

/// What is to be done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Try the same again at once: others were in the way.
    Repeat,
    /// Find out which batch it is: the server cannot take what is in it.
    Separate,
    /// Tell the caller.
    Report,
}

impl Fault {
    /// What is to be done.
    pub(super) fn remedy(&self) -> Remedy {
        let Self::Server(error) = self else {
            return if matches!(self, Self::Contended) {
                Remedy::Repeat
            } else {
                Remedy::Report
            };
        };
        match error.code() {
            Some(
                &SqlState::T_R_SERIALIZATION_FAILURE
                | &SqlState::T_R_DEADLOCK_DETECTED
                | &SqlState::LOCK_NOT_AVAILABLE
                // Another collector made the same object at the same time.
                | &SqlState::DUPLICATE_TABLE
                | &SqlState::DUPLICATE_OBJECT,
            ) => Remedy::Repeat,
            // A partition that is being taken away, or was: nothing is wrong with the rows.
            Some(&SqlState::CHECK_VIOLATION) if self.is_of_no_constraint() => Remedy::Repeat,
            // Data exception, integrity violation, program limit exceeded.
            Some(state) if ["22", "23", "54"].contains(&&state.code()[..2]) => Remedy::Separate,
            _ => Remedy::Report,
        }
    }

    /// Whether the server refuses a row without naming a constraint, as it does where no partition takes it.
    fn is_of_no_constraint(&self) -> bool {
        let Self::Server(error) = self else {
            return false;
        };
        error
            .as_db_error()
            .is_some_and(|said| said.constraint().is_none())
    }

    /// Whether the server's tables are not there.
    fn lacks_tables(&self) -> bool {
        matches!(self, Self::Server(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE))
    }

    /// Whether the server gave the statement up when its time was over.
    fn is_too_slow(&self) -> bool {
        matches!(self, Self::Server(error) if error.code() == Some(&SqlState::QUERY_CANCELED))
    }

    /// The server's own words, for a batch that is refused.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Server(error) => match error.as_db_error() {
                Some(said) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
                None => error.to_string(),
            },
            other => other.to_string(),
        }
    }

    /// As the callers of the store see it.
    pub(super) fn into_error(self, address: String, action: &'static str) -> StoreError {
        if let Self::Store(error) = self {
            return *error;
        }
        let action = if self.lacks_tables() {
            format!("{action}: no collector has prepared it yet")
        } else {
            action.to_owned()
        };
        let is_too_slow = self.is_too_slow();
        let source: Box<dyn std::error::Error + Send + Sync> = match self {
            Self::Server(error) => Box::new(error),
            other => Box::new(other),
        };
        if is_too_slow {
            return StoreError::TooSlow {
                address,
                action,
                source,
            };
        }
        StoreError::Unavailable {
            address,
            action,
            source,
        }
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Server(error),
            PoolError::Timeout(_) => Self::NoConnection(super::connection::CONNECT_LIMIT),
            PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => {
                Self::Server(error)
            }
            other => Self::Pool(other.to_string().trim().to_owned()),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}
