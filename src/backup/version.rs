//! Versions of PostgreSQL and of its programs.

use super::BackupError;
use super::place::Place;

/// The major version that a program tells, as in `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0)`.
fn major(told: &str) -> Option<u32> {
    let number = told.split_once(") ")?.1;
    let end = number.find(|symbol: char| !symbol.is_ascii_digit());
    number[..end.unwrap_or(number.len())].parse().ok()
}

/// The major version of a program of a place.
pub(super) async fn of(program: &'static str, place: &Place) -> Result<u32, BackupError> {
    use tokio::io::AsyncReadExt as _;
    let mut running = place.start(&format!("exec {program} --version")).await?;
    let mut told = String::new();
    let read = running.output.read_to_string(&mut told).await;
    running
        .finish("ask a program for its version", place)
        .await?;
    read.map_err(BackupError::Start)?;
    major(&told).ok_or_else(|| BackupError::Answer {
        place: place.name(),
        answer: told.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_version_is_read_however_the_minor_one_is_written() {
        assert_eq!(
            major("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major("pg_restore (PostgreSQL) 17beta1\n"), Some(17));
        assert_eq!(major("pg_dump (PostgreSQL) 18"), Some(18));
        assert_eq!(major("no such thing"), None);
    }
}
