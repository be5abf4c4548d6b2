//! Which samples belong to which sources, as far as cluster and time tell.
//!
//! A sample has no source. Its series has a cluster, as its source has, and its time lies between
//! the first and the last one that the ledger has of the source. So sources of a cluster whose
//! times overlap share a span, and the samples of a span are those of its sources. Passes of one file
//! always share one.

use std::collections::BTreeMap;

use super::{Expired, Flaw, SourceProof, Stray};

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

/// Samples of one cluster, `None` if their series are unknown, that are not kept any more: only their
/// day is known, so the sources that have times in it are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Over {
    pub(in crate::store) cluster: Option<String>,
    /// Days since the epoch.
    pub(in crate::store) day: i64,
    pub(in crate::store) samples: u64,
    pub(in crate::store) on_arrival: u64,
}

/// Samples of one cluster, `None` if their series are unknown, in one bucket of
/// [`Spans::thresholds`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Count {
    pub(in crate::store) cluster: Option<String>,
    pub(in crate::store) bucket: usize,
    pub(in crate::store) samples: u64,
}

/// A stretch of time, both ends included.
#[derive(Debug)]
struct Span {
    first: i64,
    last: i64,
    /// Rows of its sources, by the ledger.
    rows: u64,
    samples: u64,
    /// Places of its sources.
    sources: Vec<usize>,
}

/// The spans of every cluster.
#[derive(Debug)]
pub(in crate::store) struct Spans {
    /// By cluster, in order of time.
    spans: BTreeMap<String, Vec<Span>>,
    thresholds: Vec<i64>,
    over: Vec<Over>,
}

/// Times, with the whole of a day that is over in which they begin or end.
fn widened((first, last): (i64, i64), cluster: &str, over: &[Over]) -> (i64, i64) {
    let is_over = |time: i64| {
        let day = time.div_euclid(DAY);
        over.iter()
            .any(|one| one.day == day && one.cluster.as_deref() == Some(cluster))
    };
    let mut times = (first, last);
    if is_over(first) {
        times.0 = first.div_euclid(DAY) * DAY;
    }
    if is_over(last) {
        times.1 = last.div_euclid(DAY) * DAY + (DAY - 1);
    }
    times
}

impl Spans {
    pub(in crate::store) fn of(sources: &[SourceProof], over: Vec<Over>) -> Self {
        let mut timed: Vec<(&String, (i64, i64), usize)> = sources
            .iter()
            .enumerate()
            .filter_map(|(place, source)| {
                let cluster = &source.source.cluster;
                Some((cluster, widened(source.times?, cluster, &over), place))
            })
            .collect();
        timed.sort_unstable();
        let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        for (cluster, (first, last), place) in timed {
            let of_cluster = spans.entry(cluster.clone()).or_default();
            let rows = sources[place].stored;
            match of_cluster.last_mut() {
                Some(span) if first <= span.last => {
                    span.last = span.last.max(last);
                    span.rows += rows;
                    span.sources.push(place);
                }
                _ => of_cluster.push(Span {
                    first,
                    last,
                    rows,
                    samples: 0,
                    sources: vec![place],
                }),
            }
        }
        let ends = spans.values().flatten();
        let mut thresholds: Vec<i64> = ends
            .flat_map(|span| [span.first, span.last.saturating_add(1)])
            .collect();
        thresholds.sort_unstable();
        thresholds.dedup();
        Self {
            spans,
            thresholds,
            over,
        }
    }

    /// What is not kept any more.
    pub(super) fn expired(&self) -> Expired {
        let sum = |of: fn(&Over) -> u64| self.over.iter().map(of).sum();
        Expired {
            rows: sum(|one| one.samples),
            on_arrival: sum(|one| one.on_arrival),
        }
    }

    /// Times, ascending: bucket 0 is before the first, bucket `n` from the `n`-th on.
    pub(in crate::store) fn thresholds(&self) -> &[i64] {
        &self.thresholds
    }

    /// The bucket of a time, as PostgreSQL's `width_bucket` has it.
    pub(in crate::store) fn bucket(&self, time: i64) -> usize {
        self.thresholds.partition_point(|start| *start <= time)
    }

    /// Holds the samples that were counted against the ledger: adds to the flaws of the sources, and
    /// answers the samples of no span.
    pub(in crate::store) fn judge(
        mut self,
        counts: impl IntoIterator<Item = Count>,
        sources: &mut [SourceProof],
    ) -> Vec<Stray> {
        let mut strays: BTreeMap<Option<String>, u64> = BTreeMap::new();
        let over = std::mem::take(&mut self.over);
        let over: Vec<Count> = over
            .into_iter()
            .map(|one| Count {
                bucket: self.bucket(one.day.saturating_mul(DAY)),
                cluster: one.cluster,
                samples: one.samples,
            })
            .collect();
        for count in counts.into_iter().chain(over) {
            match self.span(&count) {
                Some(span) => span.samples += count.samples,
                None => *strays.entry(count.cluster).or_default() += count.samples,
            }
        }
        for span in self.spans.values().flatten() {
            if span.rows == span.samples {
                continue;
            }
            for place in &span.sources {
                sources[*place].flaws.push(Flaw::Samples {
                    ledger: span.rows,
                    found: span.samples,
                    times: Some((span.first, span.last)),
                    others: span.sources.len() as u64 - 1,
                });
            }
        }
        let untimed = |source: &&mut SourceProof| source.times.is_none() && source.stored > 0;
        for source in sources.iter_mut().filter(untimed) {
            source.flaws.push(Flaw::Samples {
                ledger: source.stored,
                found: 0,
                times: None,
                others: 0,
            });
        }
        let strays = strays.into_iter().filter(|(_, samples)| *samples > 0);
        strays
            .map(|(cluster, samples)| Stray { cluster, samples })
            .collect()
    }

    fn span(&mut self, count: &Count) -> Option<&mut Span> {
        let start = *self.thresholds.get(count.bucket.checked_sub(1)?)?;
        let spans = self.spans.get_mut(count.cluster.as_ref()?)?;
        let place = spans.partition_point(|span| span.last < start);
        spans.get_mut(place).filter(|span| span.first <= start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::source::{PassId, SourceId};
    use crate::store::proof::Tiling;

    fn source(cluster: &str, times: (i64, i64), rows: u64) -> SourceProof {
        SourceProof {
            source: SourceId {
                cluster: cluster.to_owned(),
                name: "a.csv".to_owned(),
                digest: "d".to_owned(),
            },
            pass: PassId::once(),
            end: None,
            stored: rows,
            quarantined: 0,
            dead_lettered: 0,
            tiling: Tiling::default(),
            times: Some(times),
            silent_for: None,
            flaws: Vec::new(),
        }
    }

    type Sample = (&'static str, i64);

    fn judge(sources: &mut [SourceProof], samples: &[Sample]) -> Vec<Stray> {
        let spans = Spans::of(sources, Vec::new());
        let counts: Vec<Count> = samples
            .iter()
            .map(|(cluster, time)| Count {
                cluster: Some((*cluster).to_owned()),
                bucket: spans.bucket(*time),
                samples: 1,
            })
            .collect();
        spans.judge(counts, sources)
    }

    fn is_flawed(source: &SourceProof) -> bool {
        !source.flaws.is_empty()
    }

    #[test]
    fn v17_a_sample_that_is_gone_is_told_of_the_sources_that_share_its_time() {
        let mut sources = [
            source("edge", (0, 10), 2),
            source("edge", (10, 20), 1),
            source("edge", (21, 30), 1),
            source("other", (0, 30), 1),
        ];
        let samples = [("edge", 0), ("edge", 20), ("edge", 21), ("other", 30)];
        assert_eq!(judge(&mut sources, &samples), []);
        assert_eq!(
            sources.each_ref().map(is_flawed),
            [true, true, false, false]
        );
        let flaw = Flaw::Samples {
            ledger: 3,
            found: 2,
            times: Some((0, 20)),
            others: 1,
        };
        assert_eq!(sources[0].flaws, sources[1].flaws);
        assert_eq!(sources[1].flaws, [flaw]);
    }

    #[test]
    fn sources_that_share_a_day_that_is_over_are_counted_together() {
        let first = source("edge", (5, 6), 2);
        let second = source("edge", (100, DAY + 7), 3);
        let later = source("edge", (DAY + 8, DAY + 9), 1);
        let over = |samples| {
            vec![Over {
                cluster: Some("edge".to_owned()),
                day: 0,
                samples,
                on_arrival: 1,
            }]
        };
        let judged = |samples: u64, kept: [i64; 2]| {
            let mut sources = [first.clone(), second.clone(), later.clone()];
            let spans = Spans::of(&sources, over(samples));
            assert_eq!(spans.expired().on_arrival, 1);
            let counts: Vec<Count> = kept
                .iter()
                .map(|time| Count {
                    cluster: Some("edge".to_owned()),
                    bucket: spans.bucket(*time),
                    samples: 1,
                })
                .collect();
            assert_eq!(spans.judge(counts, &mut sources), []);
            sources.each_ref().map(is_flawed)
        };
        assert_eq!(judged(4, [DAY + 7, DAY + 8]), [false, false, false]);
        assert_eq!(judged(3, [DAY + 7, DAY + 8]), [true, true, false]);
        assert_eq!(judged(5, [DAY + 8, DAY + 9]), [false, false, true]);
        let spans = Spans::of(&[], over(4));
        assert_eq!(spans.judge([], &mut []).len(), 1);
    }

    #[test]
    fn v17_samples_that_no_source_has_are_strays() {
        let mut sources = [source("edge", (5, 6), 1)];
        let samples = [("edge", 5), ("edge", 4), ("edge", 7), ("nowhere", 5)];
        let strays = judge(&mut sources, &samples);
        let told: Vec<(Option<&str>, u64)> = strays
            .iter()
            .map(|stray| (stray.cluster.as_deref(), stray.samples))
            .collect();
        assert_eq!(told, [(Some("edge"), 2), (Some("nowhere"), 1)]);
        assert!(!is_flawed(&sources[0]));
    }

    proptest! {
        /// However sources lie in time: with one sample per row nothing is wrong; without one of
        /// them, its source is named; with one more outside of all, that is a stray.
        #[test]
        fn v17_every_row_needs_its_sample(
            times in proptest::collection::vec((0_i64..50, 0_i64..20, 1_usize..4), 1..8),
            at in any::<prop::sample::Index>(),
        ) {
            let mut sources = Vec::new();
            let mut samples: Vec<Sample> = Vec::new();
            let mut owners = Vec::new();
            for (place, (first, length, rows)) in times.iter().enumerate() {
                let cluster = if place % 2 == 0 { "a" } else { "b" };
                sources.push(source(cluster, (*first, first + length), *rows as u64));
                for row in 0..*rows {
                    samples.push((cluster, first + (row as i64).min(*length)));
                    owners.push(place);
                }
            }
            prop_assert_eq!(judge(&mut sources, &samples), []);
            prop_assert!(!sources.iter().any(is_flawed));
            let gone = at.index(samples.len());
            let mut fewer = samples.clone();
            fewer.remove(gone);
            prop_assert_eq!(judge(&mut sources, &fewer), []);
            prop_assert!(is_flawed(&sources[owners[gone]]));
            samples.push(("a", 99));
            let mut sound: Vec<SourceProof> = sources.into_iter().map(|mut source| { source.flaws.clear(); source }).collect();
            prop_assert_eq!(judge(&mut sound, &samples).len(), 1);
            prop_assert!(!sound.iter().any(is_flawed));
        }
    }
}
