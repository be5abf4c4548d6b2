//! Storing: what is done in which order, and what is tried again.

use std::collections::BTreeSet;

use tokio::time::timeout;

use crate::model::batch::{Batch, SignedOff};
use crate::model::limits;
use crate::model::source::{BatchId, StoreToken};
use crate::model::time::EventTime;
use crate::store::check;
use crate::store::postgres::PostgresStore;
use crate::store::{Outcome, Stored};

use super::fault::{Fault, Remedy};
use super::transaction::{Mode, Plan, Transacted, transact};
use super::{QUERY_LIMIT, STORE_LIMIT, catalogue, partitions, retention, token};

/// How often a transaction is tried when others were in its way.
const TRIES: u32 = 8;

/// Stores batches. A group that cannot be stored is halved until the batch is alone that is the
/// cause; only that one is refused. If the data turns into another life meanwhile, all of it has to
/// be offered again.
pub(super) async fn store(store: &PostgresStore, batches: &[Batch]) -> Result<Stored, Fault> {
    let mut outcomes: Vec<Option<Outcome>> = batches
        .iter()
        .map(|batch| check::defect(batch).map(|reason| Outcome::Refused { reason }))
        .collect();
    let sound: Vec<usize> = (0..batches.len())
        .filter(|index| outcomes[*index].is_none())
        .collect();
    let mut groups = Vec::from_iter((!sound.is_empty()).then_some(sound));
    let mut lives = BTreeSet::new();
    let mut expired = 0;
    while let Some(group) = groups.pop() {
        let members: Vec<&Batch> = group.iter().map(|index| &batches[*index]).collect();
        match store_group(store, &members).await? {
            Group::Stored(of_group, token) => {
                lives.insert(token);
                expired += of_group.expired;
                for (index, outcome) in group.into_iter().zip(of_group.outcomes) {
                    outcomes[index] = Some(outcome);
                }
            }
            Group::Impossible(reason) => match group[..] {
                [index] => outcomes[index] = Some(Outcome::Refused { reason }),
                _ => {
                    let (first, second) = group.split_at(group.len() / 2);
                    groups.extend([second.to_vec(), first.to_vec()]);
                }
            },
        }
    }
    let outcomes = outcomes.into_iter().flatten().collect();
    match (lives.pop_first(), lives.is_empty()) {
        (Some(token), true) => Ok(Stored {
            outcomes,
            expired,
            token,
        }),
        (Some(_), false) => Err(Fault::Replaced),
        // Nothing of it could be stored, which holds for every life.
        (None, _) => {
            let token = present(store).await?;
            Ok(Stored {
                outcomes,
                expired,
                token,
            })
        }
    }
}

/// The present life of the data.
pub(super) async fn present(store: &PostgresStore) -> Result<StoreToken, Fault> {
    let client = store.client().await?;
    let result = timeout(QUERY_LIMIT, token::read(&client)).await;
    store.settle(client, QUERY_LIMIT, result)
}

enum Group {
    Stored(Transacted, StoreToken),
    Impossible(String),
}

async fn store_group(store: &PostgresStore, batches: &[&Batch]) -> Result<Group, Fault> {
    let days = days(batches);
    if days.len() > limits::DAYS {
        let (found, most) = (days.len(), limits::DAYS);
        let reason = format!("its rows spread over {found} days, more than {most}");
        return Ok(Group::Impossible(reason));
    }
    let mut mode = Mode::Optimistic;
    let mut was_impossible = false;
    let mut tries = 0;
    loop {
        let fault = match attempt(store, batches, &days, mode).await {
            Ok(Some((done, token))) => return Ok(Group::Stored(done, token)),
            Ok(None) => {
                mode = Mode::SourcesLocked;
                continue;
            }
            Err(fault) => fault,
        };
        tries += 1;
        match fault.remedy() {
            Remedy::Repeat if tries < TRIES => {
                tracing::debug!(tries, reason = fault.reason(), "storing again");
            }
            // A partition that was dropped looks like an integrity violation: what was remembered
            // is forgotten by now, so a second time tells.
            Remedy::Separate if !was_impossible => was_impossible = true,
            Remedy::Separate => return Ok(Group::Impossible(fault.reason())),
            Remedy::Repeat | Remedy::Report => return Err(fault),
        }
    }
}

fn days(batches: &[&Batch]) -> BTreeSet<i64> {
    batches
        .iter()
        .flat_map(|batch| &batch.rows.time)
        .map(|time| limits::day(*time))
        .collect()
}

/// One try. `None`: it has to be repeated with the sources locked.
async fn attempt(
    store: &PostgresStore,
    batches: &[&Batch],
    days: &BTreeSet<i64>,
    mode: Mode,
) -> Result<Option<(Transacted, StoreToken)>, Fault> {
    let mut client = store.client().await?;
    let work = async {
        // A connection does not outlive its server, so that what it says at first holds until its
        // end.
        let known = store.known(&client).await?;
        let located = catalogue::locate(&known, &client, batches).await?;
        let first_kept = retention::first_kept(&client, store.0.upkeep.retention).await?;
        let first = first_kept.map_or(i64::MIN, |time| limits::day(EventTime(time)));
        let days = days.range(first..).copied().collect();
        partitions::ensure(&known, &mut client, &days).await?;
        let plan = Plan::new(located, first_kept);
        let done = transact(&mut client, &plan, mode).await?;
        Ok(done.map(|done| (done, known.token)))
    };
    let result = timeout(STORE_LIMIT, work).await;
    store.settle(client, STORE_LIMIT, result)
}

/// Notes the end of a source.
pub(super) async fn sign_off(store: &PostgresStore, end: &SignedOff) -> Result<StoreToken, Fault> {
    let client = store.client().await?;
    let work = async {
        let known = store.known(&client).await?;
        let sources = std::iter::once(&end.source);
        let sources = catalogue::source_ids(&known, &client, sources).await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO signed_off
                     (source_id, pass, size, rows, quarantined, incarnation, sequence, streamer)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT DO NOTHING",
            )
            .await?;
        client
            .execute(
                &statement,
                &[
                    &sources[&end.source],
                    &end.pass.0,
                    &signed(end.size),
                    &signed(end.rows),
                    &signed(end.quarantined),
                    &end.id.incarnation.0,
                    &signed(end.id.sequence),
                    &end.streamer,
                ],
            )
            .await?;
        Ok(known.token)
    };
    let result = timeout(QUERY_LIMIT, work).await;
    store.settle(client, QUERY_LIMIT, result)
}

/// Keeps an entry's bytes.
pub(super) async fn dead_letter(
    store: &PostgresStore,
    id: &BatchId,
    payload: &[u8],
    reason: &str,
) -> Result<StoreToken, Fault> {
    let client = store.client().await?;
    let work = async {
        let statement = client
            .prepare_cached(
                "INSERT INTO dead_letter (incarnation, sequence, digest, payload, reason)
                 VALUES ($1, $2::text::numeric, $3, $4, $5)
                 ON CONFLICT DO NOTHING",
            )
            .await?;
        let sequence = id.sequence.to_string();
        let digest = check::digest(payload);
        let incarnation = check::printable(&id.incarnation.0);
        let reason = check::printable(reason);
        client
            .execute(
                &statement,
                &[&incarnation, &sequence, &digest, &payload, &reason],
            )
            .await?;
        token::read(&client).await
    };
    let result = timeout(QUERY_LIMIT, work).await;
    store.settle(client, QUERY_LIMIT, result)
}

/// As the database holds it; the callers have checked that it fits, or it is beyond all measure.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
