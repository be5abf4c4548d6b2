//! A file held against what a store has of it.

use std::collections::HashMap;

use crate::model::batch::SeriesLabels;

use super::file::{NoRow, Reading};
use super::spans::DAY;
use super::{Proof, SourceProof, State, Sums};

/// Sums may differ by this part of their magnitude: the order of adding is not the same.
const ROUNDING: f64 = 1e-9;

/// How a file and the store compare, in one cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// Every series has the same rows and values, once per complete pass.
    Same {
        /// Passes.
        passes: u64,
        /// Series.
        series: u64,
    },
    /// Not every pass of it is complete, so there is nothing to compare yet; or it grows faster than it
    /// can be compared.
    Unfinished,
    /// Another source of the cluster has samples of the same series at the same times.
    Shared,
    /// The signed-off record is about another number of rows: this reading's, and that one.
    Rows {
        /// In the file.
        file: u64,
        /// By the signed-off record.
        signed_off: u64,
    },
    /// The store has a row where this reading finds none.
    NoRow(NoRow),
    /// The first series that differs, in the order of the file.
    Series {
        /// Its labels, with the cluster.
        labels: Box<SeriesLabels>,
        /// Line of its first row.
        line: u64,
        /// By the file, once per pass.
        file: Sums,
        /// By the store.
        store: Sums,
        /// How many series differ.
        differing: u64,
    },
}

impl Comparison {
    /// Whether the store contradicts the file.
    pub const fn is_contradiction(&self) -> bool {
        matches!(
            self,
            Self::Rows { .. } | Self::NoRow(_) | Self::Series { .. }
        )
    }
}

impl Reading {
    /// Holds it against the store's answer. `proof` has to be from the same look.
    pub fn compare(&self, proof: &Proof, cluster: &str, answer: &[(i64, Sums)]) -> Comparison {
        let is_here = |one: &&SourceProof| one.source.cluster == cluster;
        let here = || proof.sources.iter().filter(is_here);
        let of_file: Vec<&SourceProof> = here()
            .filter(|one| one.source.digest == self.digest)
            .collect();
        if of_file.iter().any(|one| self.is_behind(one)) {
            return Comparison::Unfinished;
        }
        if let Some(no_row) = &self.no_row {
            return Comparison::NoRow(no_row.clone());
        }
        let end = of_file.iter().find_map(|one| one.end);
        if let Some(end) = end.filter(|end| end.rows != self.total.rows) {
            return Comparison::Rows {
                file: self.total.rows,
                signed_off: end.rows,
            };
        }
        let mut neighbours = here().filter(|one| one.source.digest != self.digest);
        // Of what is not kept any more, only the days are known.
        let unit = match proof.expired.rows {
            0 => 1,
            _ => DAY,
        };
        let whole = |times: Option<(i64, i64)>| {
            times.map(|(first, last)| (first.div_euclid(unit), last.div_euclid(unit)))
        };
        let is_shared = neighbours.any(|one| meet(whole(one.times), whole(self.times)));
        self.by_series(cluster, of_file.len() as u64, answer, is_shared)
    }

    /// Whether the store may have less than what was read here, or more.
    fn is_behind(&self, source: &SourceProof) -> bool {
        let is_level = source.tiling.gaps == 0 && source.tiling.reach == self.size;
        source.state() == State::Growing && !(self.is_growing && is_level)
    }

    /// Compares series by series. Where others have samples at the same times, a series may have more.
    fn by_series(
        &self,
        cluster: &str,
        passes: u64,
        answer: &[(i64, Sums)],
        is_shared: bool,
    ) -> Comparison {
        let found: HashMap<i64, Sums> = answer.iter().copied().collect();
        let mut has_more = false;
        let mut differing = 0;
        let mut first = None;
        for series in &self.series {
            let store = found.get(&series.id(cluster)).copied().unwrap_or_default();
            let file = series.sums.times(passes);
            if file.is_like(&store, series.magnitude * passes as f64) {
                continue;
            }
            if is_shared && store.rows > file.rows {
                has_more = true;
                continue;
            }
            differing += 1;
            first.get_or_insert((series, file, store));
        }
        match first {
            Some((series, file, store)) => Comparison::Series {
                labels: Box::new(series.labels_in(cluster)),
                line: series.line,
                file,
                store,
                differing,
            },
            None if has_more => Comparison::Shared,
            None => Comparison::Same {
                passes,
                series: self.series(),
            },
        }
    }
}

impl Sums {
    fn times(mut self, passes: u64) -> Self {
        self.rows *= passes;
        self.values *= passes;
        self.sum *= passes as f64;
        self
    }

    fn is_like(&self, other: &Self, magnitude: f64) -> bool {
        (self.rows, self.values, self.range) == (other.rows, other.values, other.range)
            && (self.sum - other.sum).abs() <= ROUNDING * magnitude
    }
}

fn meet(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> bool {
    let pair = one.zip(other);
    pair.is_some_and(|(one, other)| one.0 <= other.1 && other.0 <= one.1)
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::super::{DeadLetters, End, Expired, Tiling};
    use super::*;
    use crate::model::source::{PassId, SourceId};

    const TEXT: &str = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n\
                        2025-07-18T20:42:01Z,UTIL,0,a,h,1\n\
                        2025-07-18T20:42:02Z,UTIL,0,a,h,2\n";

    fn reading(text: &str) -> Reading {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, text).unwrap();
        let (_, digest) = file::identify(&path).unwrap();
        file::read(&path, "a.csv", &digest, &[]).unwrap()
    }

    /// A source of this content, read to its end if it has rows.
    fn source(digest: &str, rows: Option<u64>, times: Option<(i64, i64)>) -> SourceProof {
        SourceProof {
            source: SourceId {
                cluster: "edge".to_owned(),
                name: "a.csv".to_owned(),
                digest: digest.to_owned(),
            },
            pass: PassId::once(),
            end: rows.map(|rows| End {
                size: 1,
                rows,
                quarantined: 0,
            }),
            stored: 0,
            quarantined: 0,
            dead_lettered: 0,
            tiling: Tiling::default(),
            times,
            silent_for: None,
            flaws: Vec::new(),
        }
    }

    fn proof(sources: Vec<SourceProof>) -> Proof {
        Proof {
            sources,
            samples: 0,
            expired: Expired::default(),
            strays: Vec::new(),
            dead_letters: DeadLetters::default(),
            files: Vec::new(),
        }
    }

    /// What a store that has these values of the one series answers.
    fn answer(reading: &Reading, values: &[f64]) -> Vec<(i64, Sums)> {
        let range = values
            .iter()
            .fold((f64::MAX, f64::MIN), |(least, most), value| {
                (least.min(*value), most.max(*value))
            });
        let sums = Sums {
            rows: values.len() as u64,
            values: values.len() as u64,
            sum: values.iter().sum(),
            range: Some(range),
        };
        vec![(reading.series[0].id("edge"), sums)]
    }

    #[test]
    fn v17_more_rows_than_the_file_has_are_a_contradiction_unless_another_source_may_have_them() {
        let reading = reading(TEXT);
        let own = || source(&reading.digest, Some(2), reading.times);
        let more = answer(&reading, &[1.0, 2.0, 3.0]);
        let alone = reading.compare(&proof(vec![own()]), "edge", &more);
        assert!(
            matches!(alone, Comparison::Series { differing: 1, .. }),
            "{alone:?}"
        );
        let neighbour = source("other", Some(1), reading.times);
        let shared = reading.compare(&proof(vec![own(), neighbour]), "edge", &more);
        assert_eq!(shared, Comparison::Shared);
        assert!(!shared.is_contradiction());
        // At other times, it cannot have been the other one.
        let later = reading.times.map(|(_, last)| (last + 1, last + 2));
        let neighbour = source("other", Some(1), later);
        let told = reading.compare(&proof(vec![own(), neighbour]), "edge", &more);
        assert!(told.is_contradiction(), "{told:?}");
        let same = answer(&reading, &[1.0, 2.0]);
        let told = reading.compare(&proof(vec![own()]), "edge", &same);
        let expected = Comparison::Same {
            passes: 1,
            series: 1,
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn v17_nothing_is_compared_before_the_end_and_a_row_that_is_none_is_told() {
        let broken = reading(&format!("{TEXT}never,UTIL,0,a,h,2\n"));
        let values = answer(&broken, &[1.0, 2.0]);
        let growing = proof(vec![source(&broken.digest, None, broken.times)]);
        let told = broken.compare(&growing, "edge", &values);
        assert_eq!(told, Comparison::Unfinished);
        assert!(!told.is_contradiction());
        let ended = proof(vec![source(&broken.digest, Some(3), broken.times)]);
        let told = broken.compare(&ended, "edge", &values);
        assert!(
            matches!(&told, Comparison::NoRow(no_row) if no_row.line == 4),
            "{told:?}"
        );
        assert!(told.is_contradiction());
    }

    #[test]
    fn v17_a_growing_file_is_compared_up_to_where_the_store_has_it() {
        let mut grown = reading(TEXT);
        grown.is_growing = true;
        let values = answer(&grown, &[1.0, 2.0]);
        let mut of_it = source(&grown.digest, None, grown.times);
        of_it.tiling.reach = grown.size;
        let compare = |of_it: &SourceProof, values: &[(i64, Sums)]| {
            grown.compare(&proof(vec![of_it.clone()]), "edge", values)
        };
        let same = Comparison::Same {
            passes: 1,
            series: 1,
        };
        assert_eq!(compare(&of_it, &values), same);
        let fewer = answer(&grown, &[1.0]);
        assert!(compare(&of_it, &fewer).is_contradiction());
        of_it.tiling.gaps = 1;
        assert_eq!(compare(&of_it, &values), Comparison::Unfinished);
        (of_it.tiling.gaps, of_it.tiling.reach) = (0, grown.size + 1);
        assert_eq!(compare(&of_it, &values), Comparison::Unfinished);
    }
}
