//! Which versions of the server there are, and what differs.

use std::sync::Once;

use deadpool_postgres::GenericClient;

use crate::store::StoreError;

use super::fault::Fault;

/// The oldest major version that has all that the statements need.
const OLDEST: i32 = 13;
/// The newest that the tests run.
const NEWEST: i32 = 18;

/// A version as the server counts it: 130022 is 13.22.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(i32);

impl Version {
    /// Asks for it.
    pub(super) async fn read(client: &impl GenericClient) -> Result<Self, Fault> {
        let statement = client
            .prepare_cached("SELECT current_setting('server_version_num')::integer")
            .await?;
        let row = client.query_one(&statement, &[]).await?;
        Ok(Self(row.get(0)))
    }

    const fn major(self) -> i32 {
        self.0 / 10_000
    }

    /// Whether a partition is detached while others read.
    pub(super) const fn detaches_concurrently(self) -> bool {
        self.major() >= 14
    }

    /// Whether it has the function `date_bin`.
    pub(super) const fn bins_dates(self) -> bool {
        self.major() >= 14
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.major(), self.0 % 10_000)
    }
}

/// Refuses a server that is too old, and says once if it is newer than any that was tested.
pub(super) async fn check(client: &impl GenericClient, address: &str) -> Result<(), Fault> {
    static SAID: Once = Once::new();
    let version = Version::read(client).await?;
    if version.major() < OLDEST {
        return Err(StoreError::ServerTooOld {
            address: address.to_owned(),
            found: version.to_string(),
            oldest: OLDEST,
        }
        .into());
    }
    if let Some(warning) = warning(version) {
        SAID.call_once(|| tracing::warn!(address, "{warning}"));
    }
    Ok(())
}

fn warning(version: Version) -> Option<String> {
    (version.major() > NEWEST).then(|| {
        format!(
            "the store is PostgreSQL {version}; telectl is tested with {OLDEST} to {NEWEST}: \
             try it before you rely on it, or use one of these"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_is_newer_than_the_tested_ones_is_warned_of() {
        for known in [130_000, 150_014, 180_000, 180_099] {
            assert_eq!(warning(Version(known)), None);
        }
        let said = warning(Version(190_002)).expect("a warning");
        assert!(
            said.contains("PostgreSQL 19.2; telectl is tested with 13 to 18"),
            "{said}"
        );
    }
}
