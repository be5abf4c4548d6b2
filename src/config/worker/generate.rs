//! How telemetry that is made up is asked for.

use std::time::Duration;

use super::{GenerateSettings, parse_duration};

/// Most hosts: their names have seven digits.
const MOST_HOSTS: u64 = 10_000_000;
/// Most GPUs of a host.
const MOST_GPUS: u64 = 1024;
/// Longest time from the first row to the last, if every GPU had one metric only: a century.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);
/// Most rows: more than anybody waits for, and few enough to count their bytes.
const MOST_ROWS: u64 = 1_000_000_000_000;

impl Default for GenerateSettings {
    fn default() -> Self {
        Self {
            hosts: 2,
            gpus: 8,
            rows: 100_000,
            interval: Duration::from_secs(1),
        }
    }
}

impl GenerateSettings {
    /// What [`Self::parse`] takes.
    pub const EXPECTED: &str = "`default`, or some of hosts=2,gpus=8,rows=100000,interval=1s (hosts up to \
                                10 million, gpus up to 1024, rows up to 10^12, interval from 1ms on)";

    /// Understands `default` and `hosts=2,gpus=8,rows=100000,interval=1s`; what is not named is as it
    /// is there. `None` if it cannot.
    pub fn parse(text: &str) -> Option<Self> {
        let mut settings = Self::default();
        if text.trim() == "default" {
            return Some(settings);
        }
        for part in text.split(',') {
            let (name, value) = part.split_once('=')?;
            let value = value.trim();
            let number = |most: u64| {
                let number = value.parse().ok()?;
                (1..=most).contains(&number).then_some(number)
            };
            match name.trim() {
                "hosts" => settings.hosts = number(MOST_HOSTS)?,
                "gpus" => settings.gpus = number(MOST_GPUS)?,
                "rows" => settings.rows = number(MOST_ROWS)?,
                "interval" => {
                    let interval = parse_duration(value)?;
                    (interval >= Duration::from_millis(1)).then_some(())?;
                    settings.interval = interval;
                }
                _ => return None,
            }
        }
        settings.is_short_enough().then_some(settings)
    }

    /// Whether its first row is not too long before its last: times of four-digit years are written.
    fn is_short_enough(&self) -> bool {
        let rows_of_look = u128::from(self.hosts) * u128::from(self.gpus);
        let looks = u128::from(self.rows).div_ceil(rows_of_look);
        looks.saturating_mul(self.interval.as_micros()) <= LONGEST.as_micros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w21_what_is_generated_is_asked_for_in_one_line() {
        let all = GenerateSettings::parse("hosts=3, gpus=4,rows=50,interval=250ms").unwrap();
        let expected = GenerateSettings {
            hosts: 3,
            gpus: 4,
            rows: 50,
            interval: Duration::from_millis(250),
        };
        assert_eq!(all, expected);
        assert_eq!(
            GenerateSettings::parse("default"),
            Some(GenerateSettings::default())
        );
        let some = GenerateSettings::parse("rows=7").unwrap();
        assert_eq!((some.rows, some.gpus), (7, 8));
        for text in [
            "",
            "hosts",
            "hosts=0",
            "hosts=10000001",
            "gpus=1025",
            "rows=-1",
            "rows=1,",
            "interval=0s",
            "interval=soon",
            "hosts=1,gpus=1,rows=1000000,interval=192h",
            "seed=1",
        ] {
            assert_eq!(GenerateSettings::parse(text), None, "{text}");
        }
    }
}
