//! Sources and series: written once, then remembered.
//!
//! New ones are upserted in the order of their keys, each statement in a transaction of its own:
//! two collectors that met the same new series in another order inside their long transactions
//! would wait for each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use deadpool_postgres::Object;

use crate::model::batch::{Batch, SeriesLabels};
use crate::model::source::{SourceId, StoreToken};
use crate::store::StoreError;
use crate::store::identity::{series_id, shown};

use super::Known;
use super::fault::Fault;

/// Series remembered at most, and how much memory their labels may take: some 500 bytes each, but up to
/// 75 KiB.
const SERIES_LIMIT: usize = 50_000;
const SERIES_BYTES: usize = 24 * 1024 * 1024;
/// Sources remembered at most.
const SOURCE_LIMIT: usize = 10_000;

/// What is known to be in the database.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// In which life of the data.
    pub(super) token: Option<StoreToken>,
    sources: HashMap<SourceId, i32>,
    series: HashMap<ByAddress, i64>,
    /// Bytes of the labels in `series`.
    series_bytes: usize,
    /// Days since the epoch that have a partition.
    pub(super) days: HashSet<i64>,
}

/// Labels that are told by where they are in memory: those of a series that was decoded before are
/// the same ones. Others that are alike are looked up in the database.
#[derive(Debug)]
struct ByAddress(Arc<SeriesLabels>);

impl Hash for ByAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl PartialEq for ByAddress {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ByAddress {}

impl Catalogue {
    /// Nothing is known yet about this life of the data.
    pub(super) fn of(token: StoreToken) -> Self {
        Self {
            token: Some(token),
            ..Self::default()
        }
    }
}

/// A batch with the ids that stand for its source and its series in the database.
#[derive(Debug)]
pub(super) struct Located<'a> {
    /// The batch.
    pub(super) batch: &'a Batch,
    /// Id of its source.
    pub(super) source: i32,
    /// Id of every series of its dictionary.
    pub(super) series: Vec<i64>,
}

/// Series that the database may not know yet, by id, with where they came from.
type Offered<'a> = BTreeMap<i64, (&'a Arc<SeriesLabels>, &'a SourceId)>;

/// Finds or makes the ids for batches.
pub(super) async fn locate<'a>(
    known: &Known<'_>,
    client: &Object,
    batches: &[&'a Batch],
) -> Result<Vec<Located<'a>>, Fault> {
    let sources = source_ids(known, client, batches.iter().map(|batch| &batch.source)).await?;
    let (series, offered) = resolve(&known.catalogue(), batches)?;
    if !offered.is_empty() {
        upsert_series(client, &offered).await?;
        verify_series(client, &offered).await?;
        remember(&mut known.catalogue(), &offered);
    }
    let located = batches.iter().zip(series).map(|(batch, series)| Located {
        batch,
        source: sources[&batch.source],
        series,
    });
    Ok(located.collect())
}

/// The id of every series of every batch, and those series that are not remembered.
fn resolve<'a>(
    catalogue: &Catalogue,
    batches: &[&'a Batch],
) -> Result<(Vec<Vec<i64>>, Offered<'a>), Fault> {
    let mut offered = Offered::new();
    let mut ids = Vec::with_capacity(batches.len());
    for batch in batches {
        let mut of_batch = Vec::with_capacity(batch.series.len());
        for labels in &batch.series {
            let id = match catalogue.series.get(&ByAddress(Arc::clone(labels))) {
                Some(id) => *id,
                None => {
                    let id = series_id(labels);
                    let (first, _) = *offered.entry(id).or_insert((labels, &batch.source));
                    if first != labels {
                        return Err(collision(id, &first.texts(), labels, &batch.source));
                    }
                    id
                }
            };
            of_batch.push(id);
        }
        ids.push(of_batch);
    }
    Ok((ids, offered))
}

fn collision(
    id: i64,
    stored: &[impl AsRef<str>],
    offered: &SeriesLabels,
    origin: &SourceId,
) -> Fault {
    StoreError::SeriesCollision {
        id,
        stored: shown(stored),
        offered: shown(&offered.texts()),
        origin: Box::new(origin.clone()),
    }
    .into()
}

fn remember(catalogue: &mut Catalogue, offered: &Offered<'_>) {
    for (id, (labels, _)) in offered {
        let bytes = catalogue.series_bytes + labels.weight();
        if catalogue.series.len() >= SERIES_LIMIT || bytes > SERIES_BYTES {
            catalogue.series.clear();
            catalogue.series_bytes = 0;
        }
        let known = ByAddress(Arc::clone(labels));
        if catalogue.series.insert(known, *id).is_none() {
            catalogue.series_bytes += labels.weight();
        }
    }
}

async fn upsert_series(client: &Object, offered: &Offered<'_>) -> Result<(), Fault> {
    let ids: Vec<i64> = offered.keys().copied().collect();
    let mut values: [Vec<&str>; 11] = Default::default();
    for (labels, _) in offered.values() {
        for (column, value) in values.iter_mut().zip(labels.texts()) {
            column.push(value);
        }
    }
    let mut parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&ids];
    for column in &values {
        parameters.push(column);
    }
    let arrays: String = (2..=12)
        .map(|number| format!(", ${number}::text[]"))
        .collect();
    let statement = format!(
        "INSERT INTO series (series_id, {})
         SELECT * FROM unnest($1::bigint[]{arrays}) AS offered (id)
         ORDER BY id
         ON CONFLICT DO NOTHING",
        SeriesLabels::NAMES.join(", ")
    );
    let statement = client.prepare_cached(&statement).await?;
    client.execute(&statement, &parameters).await?;
    Ok(())
}

/// Compares all labels: only then does an id stand for its series.
async fn verify_series(client: &Object, offered: &Offered<'_>) -> Result<(), Fault> {
    let ids: Vec<i64> = offered.keys().copied().collect();
    let statement = format!(
        "SELECT series_id, {} FROM series WHERE series_id = ANY ($1)",
        SeriesLabels::NAMES.join(", ")
    );
    let statement = client.prepare_cached(&statement).await?;
    for row in client.query(&statement, &[&ids]).await? {
        let id: i64 = row.get(0);
        let stored: Vec<&str> = (1..=SeriesLabels::NAMES.len())
            .map(|column| row.get(column))
            .collect();
        let Some((labels, origin)) = offered.get(&id) else {
            continue;
        };
        if stored != labels.texts() {
            return Err(collision(id, &stored, labels, origin));
        }
    }
    Ok(())
}

/// The ids of sources, made if they are new.
pub(super) async fn source_ids<'a>(
    known: &Known<'_>,
    client: &Object,
    sources: impl Iterator<Item = &'a SourceId>,
) -> Result<HashMap<SourceId, i32>, Fault> {
    let wanted: BTreeSet<&SourceId> = sources.collect();
    let mut ids: HashMap<SourceId, i32> = HashMap::new();
    {
        let catalogue = known.catalogue();
        for source in &wanted {
            if let Some(id) = catalogue.sources.get(*source) {
                ids.insert((*source).clone(), *id);
            }
        }
    }
    for source in wanted {
        if !ids.contains_key(source) {
            let id = source_id(client, source).await?;
            ids.insert(source.clone(), id);
            let sources = &mut known.catalogue().sources;
            if sources.len() >= SOURCE_LIMIT {
                sources.clear();
            }
            sources.insert(source.clone(), id);
        }
    }
    Ok(ids)
}

async fn source_id(client: &Object, source: &SourceId) -> Result<i32, Fault> {
    let key: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&source.cluster, &source.name, &source.digest];
    let insert = client
        .prepare_cached(
            "INSERT INTO source (cluster, name, digest) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .await?;
    client.execute(&insert, &key).await?;
    let select = client
        .prepare_cached("SELECT id FROM source WHERE cluster = $1 AND name = $2 AND digest = $3")
        .await?;
    Ok(client.query_one(&select, &key).await?.get(0))
}
