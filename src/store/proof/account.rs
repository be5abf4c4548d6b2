//! From the rows of the ledger, in order, to what is known about each source and pass.

use std::collections::{BTreeMap, HashMap};

use crate::model::batch::Message;
use crate::model::source::{BatchId, PassId, SourceId};
use crate::queue::codec;

use super::tiles::Tiles;
use super::{DeadLetters, End, Flaw, Letter, Piece, SourceProof};

/// Number of the source in the store, and pass.
pub(in crate::store) type Key = (i64, String);

/// Stands for a source that has no number.
const UNKNOWN: i64 = i64::MIN;

/// A row of the ledger.
#[derive(Debug, Clone)]
pub(in crate::store) struct Line {
    pub(in crate::store) key: Key,
    pub(in crate::store) piece: Piece,
    pub(in crate::store) rows: u64,
    pub(in crate::store) quarantined: u64,
    /// First and last event time, microseconds.
    pub(in crate::store) times: Option<(i64, i64)>,
    /// Seconds since it was stored.
    pub(in crate::store) age: u64,
}

/// What a store says besides the ledger.
#[derive(Debug, Default)]
pub(in crate::store) struct Facts {
    /// Sources by their number.
    pub(in crate::store) sources: HashMap<i64, SourceId>,
    /// What was signed off.
    pub(in crate::store) ends: BTreeMap<Key, End>,
    /// Rows in the table `quarantine`.
    pub(in crate::store) kept: HashMap<Key, u64>,
    /// Entries that could not be stored.
    pub(in crate::store) letters: Letters,
}

/// Entries that could not be stored, by source and pass.
#[derive(Debug, Default)]
pub(in crate::store) struct Letters {
    of: HashMap<(SourceId, PassId), Vec<Letter>>,
    pub(in crate::store) count: DeadLetters,
}

impl Letters {
    /// Looks into one. What is no batch is of no source.
    pub(in crate::store) fn push(&mut self, batch: BatchId, payload: &[u8], reason: String) {
        let Ok(Message::Batch(found)) = codec::decode(payload) else {
            self.count.unreadable += 1;
            return;
        };
        let rows = (found.rows.len() + found.quarantined.len()) as u64;
        let of_source = self.of.entry((found.source, found.pass)).or_default();
        of_source.push(Letter {
            range: found.range,
            rows,
            batch,
            reason,
        });
    }
}

/// Adds up the ledger, one source and pass after the other.
pub(in crate::store) struct Account {
    facts: Facts,
    current: Option<Current>,
    done: Vec<SourceProof>,
}

struct Current {
    key: Key,
    tiles: Tiles,
    proof: SourceProof,
}

impl Account {
    pub(in crate::store) const fn new(facts: Facts) -> Self {
        Self {
            facts,
            current: None,
            done: Vec::new(),
        }
    }

    /// The next row, in the order of key and range.
    pub(in crate::store) fn push(&mut self, line: Line) {
        if self.current.as_ref().is_none_or(|one| one.key != line.key) {
            self.close();
            self.current = Some(self.begin(line.key));
        }
        let Some(Current { tiles, proof, .. }) = &mut self.current else {
            return;
        };
        proof.stored = proof.stored.saturating_add(line.rows);
        proof.quarantined = proof.quarantined.saturating_add(line.quarantined);
        proof.times = match (proof.times, line.times) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (known, new) => known.or(new),
        };
        proof.silent_for = Some(proof.silent_for.map_or(line.age, |age| age.min(line.age)));
        tiles.push(line.piece);
    }

    /// There are no more: every source and pass, by cluster, name, digest and pass.
    pub(in crate::store) fn finish(mut self) -> (Vec<SourceProof>, DeadLetters) {
        self.close();
        // Signed off, and nothing of it in the ledger.
        while let Some((key, _)) = self.facts.ends.first_key_value() {
            self.current = Some(self.begin(key.clone()));
            self.close();
        }
        // Quarantined, and forgotten by the ledger.
        while let Some(key) = self.facts.kept.keys().next().cloned() {
            self.current = Some(self.begin(key));
            self.close();
        }
        // Nothing of it could be stored, not even its end.
        let others: Vec<_> = self.facts.letters.of.keys().cloned().collect();
        for (source, pass) in others {
            self.current = Some(self.open((UNKNOWN, pass.0), source));
            self.close();
        }
        let mut done = self.done;
        done.sort_by(|a, b| (&a.source, &a.pass).cmp(&(&b.source, &b.pass)));
        (done, self.facts.letters.count)
    }

    fn begin(&mut self, key: Key) -> Current {
        // A store keeps every source whose number is in use.
        let source = self.facts.sources.get(&key.0).cloned();
        let source = source.unwrap_or_else(|| SourceId {
            cluster: String::new(),
            name: format!("source {}", key.0),
            digest: String::new(),
        });
        self.open(key, source)
    }

    fn open(&mut self, key: Key, source: SourceId) -> Current {
        let end = self.facts.ends.remove(&key);
        let pass = PassId(key.1.clone());
        let letters = self
            .facts
            .letters
            .of
            .remove(&(source.clone(), pass.clone()));
        Current {
            tiles: Tiles::new(end.map(|end| end.size), letters.unwrap_or_default()),
            proof: SourceProof {
                source,
                pass,
                end,
                stored: 0,
                quarantined: 0,
                dead_lettered: 0,
                tiling: super::Tiling::default(),
                times: None,
                silent_for: None,
                flaws: Vec::new(),
            },
            key,
        }
    }

    fn close(&mut self) {
        let Some(Current {
            key,
            tiles,
            mut proof,
        }) = self.current.take()
        else {
            return;
        };
        proof.tiling = tiles.finish();
        proof.dead_lettered = proof.tiling.dead_lettered;
        let kept = self.facts.kept.remove(&key).unwrap_or(0);
        proof.flaws = flaws(&proof, kept);
        self.done.push(proof);
    }
}

/// What does not hold, the samples not looked at.
fn flaws(proof: &SourceProof, kept: u64) -> Vec<Flaw> {
    let tiling = &proof.tiling;
    let mut flaws = Vec::new();
    if let (Some(gap), Some(_)) = (&tiling.gap, proof.end) {
        flaws.push(Flaw::Gap(gap.clone()));
    }
    // Where the end is known, it is in a gap.
    if let (Some(letter), None) = (&tiling.letter, proof.end) {
        flaws.push(Flaw::DeadLetter(letter.clone()));
    }
    flaws.extend(tiling.overlap.clone().map(Flaw::Overlap));
    flaws.extend(tiling.beyond.clone().map(Flaw::Beyond));
    if let Some(end) = proof.end
        && tiling.is_whole()
    {
        if proof.stored != end.rows {
            flaws.push(Flaw::Rows {
                ledger: proof.stored,
                signed_off: end.rows,
            });
        }
        if proof.quarantined != end.quarantined {
            flaws.push(Flaw::Quarantined {
                ledger: proof.quarantined,
                signed_off: end.quarantined,
            });
        }
    }
    if proof.quarantined != kept {
        flaws.push(Flaw::Kept {
            ledger: proof.quarantined,
            kept,
        });
    }
    flaws
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source::{ByteRange, IncarnationId};

    #[test]
    fn v17_what_could_not_be_stored_is_a_flaw_before_the_end_is_known_too() {
        let letter = Letter {
            range: ByteRange { start: 0, end: 10 },
            rows: 3,
            batch: BatchId {
                incarnation: IncarnationId("5p00l".to_owned()),
                sequence: 7,
            },
            reason: "too long".to_owned(),
        };
        let source = SourceId {
            cluster: "edge".to_owned(),
            name: "a.csv".to_owned(),
            digest: "00".to_owned(),
        };
        let flaws_of = |end: Option<End>| {
            let mut facts = Facts::default();
            let key = (source.clone(), PassId::once());
            facts.letters.of.insert(key, vec![letter.clone()]);
            facts.sources.insert(1, source.clone());
            let pass = PassId::once().0;
            facts.ends.extend(end.map(|end| ((1, pass), end)));
            let (proofs, _) = Account::new(facts).finish();
            proofs[0].flaws.clone()
        };
        assert_eq!(flaws_of(None), [Flaw::DeadLetter(letter.clone())]);
        let end = End {
            size: 10,
            rows: 3,
            quarantined: 0,
        };
        let flaws = flaws_of(Some(end));
        assert!(
            matches!(&flaws[..], [Flaw::Gap(gap)] if gap.letter.as_ref() == Some(&letter)),
            "{flaws:?}"
        );
    }
}
