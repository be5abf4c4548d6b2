//! Entries that were received, merged into groups of the size of a transaction.

use std::collections::VecDeque;

use crate::model::batch::{Batch, Message, Quarantined, SignedOff};
use crate::model::canary::Canary;
use crate::queue::Delivery;
use crate::queue::codec::Decoder;

use super::under_way::{Place, place};

/// Entries that are not decoded yet: as columns in memory they are many times as large.
pub(super) struct Inbox {
    entries: VecDeque<Delivery>,
    /// Decoded, but too large for the group before.
    held: Option<(Delivery, Batch, usize)>,
}

/// Most bytes of a group in memory, unless its first batch alone has more. New labels go to the server and
/// come back to be compared, so that a group of them takes three times as much, and two are under way.
pub(super) const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// What goes into one transaction, and what came with it.
#[derive(Default)]
pub(super) struct Group {
    /// The batches.
    pub(super) batches: Vec<Batch>,
    /// The entry of each batch.
    pub(super) deliveries: Vec<Delivery>,
    /// Ends of sources.
    pub(super) ends: Vec<(Delivery, SignedOff)>,
    /// Canaries.
    pub(super) canaries: Vec<(Delivery, Canary)>,
    /// Entries that are no messages, and why.
    pub(super) poison: Vec<(Delivery, String)>,
    /// How much memory the batches take, in bytes; labels count where they are met first.
    pub(super) bytes: usize,
}

impl Group {
    /// Rows of all batches.
    pub(super) fn rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows.len()).sum()
    }

    /// Where its entries are.
    pub(super) fn places(&self) -> Vec<Place> {
        let ends = self.ends.iter().map(|(delivery, _)| delivery);
        let canaries = self.canaries.iter().map(|(delivery, _)| delivery);
        let poison = self.poison.iter().map(|(delivery, _)| delivery);
        let all = self.deliveries.iter().chain(ends).chain(canaries);
        all.chain(poison).map(place).collect()
    }

    /// Whether there is nothing in it that counts.
    pub(super) fn is_canaries_only(&self) -> bool {
        self.deliveries.is_empty() && self.ends.is_empty() && self.poison.is_empty()
    }

    fn has_room(&self, limit: usize, batch: &Batch, bytes: usize) -> bool {
        self.batches.is_empty()
            || (self.rows() + batch.rows.len() <= limit && self.bytes + bytes <= GROUP_BYTES)
    }

    fn add(&mut self, delivery: Delivery, batch: Batch, bytes: usize) {
        self.bytes += bytes;
        self.deliveries.push(delivery);
        self.batches.push(batch);
    }
}

impl Inbox {
    /// Holds these entries.
    pub(super) const fn new(entries: VecDeque<Delivery>) -> Self {
        Self {
            entries,
            held: None,
        }
    }

    /// The next entries with at most so many rows and [`GROUP_BYTES`] together, but at least one entry;
    /// `None` if there are no more.
    pub(super) fn next_group(&mut self, limit: usize, decoder: &mut Decoder) -> Option<Group> {
        if self.entries.is_empty() && self.held.is_none() {
            return None;
        }
        let mut group = Group::default();
        if let Some((delivery, batch, bytes)) = self.held.take() {
            group.add(delivery, batch, bytes);
        }
        while let Some(delivery) = self.entries.pop_front() {
            let learnt = decoder.learnt();
            match decoder.decode(&delivery.entry.payload) {
                Ok(Message::Batch(batch)) => {
                    let bytes = weight(&batch) + decoder.learnt() - learnt;
                    if !group.has_room(limit, &batch, bytes) {
                        self.held = Some((delivery, batch, bytes));
                        break;
                    }
                    group.add(delivery, batch, bytes);
                }
                Ok(Message::SignedOff(end)) => group.ends.push((delivery, end)),
                Ok(Message::Canary(canary)) => group.canaries.push((delivery, canary)),
                Err(error) => group.poison.push((delivery, error.to_string())),
            }
        }
        Some(group)
    }
}

/// How much memory a batch takes, in bytes, without the labels that it shares with others.
fn weight(batch: &Batch) -> usize {
    let quarantined: usize = batch.quarantined.iter().map(Quarantined::weight).sum();
    batch.rows.weight() + quarantined
}
