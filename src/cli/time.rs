//! Times on the command line, such as `500ms`, `90s`, `10m` or `1h`.

use std::time::Duration;

use crate::config::worker::parse_duration;

/// Reads a time; none at all is no time that anything could take.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "expected a time above zero, such as 500ms, 90s or 10m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_is_above_zero() {
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("10m"), Ok(Duration::from_mins(10)));
        for wrong in ["", "5", "0s", "-3s", "soon"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
