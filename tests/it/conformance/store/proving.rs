//! What a store proves, and what it names where somebody changed it by hand.

use telectl::model::batch::Message;
use telectl::model::source::PassId;
use telectl::queue::codec;
use telectl::store::proof::{Flaw, Proof, Question, SeriesQuestion, State, Stray, Sums};
use telectl::store::{Store, series_id};

use crate::store_data::{MadeUp, START};
use crate::store_fixture::StoreFixture;

async fn prove(store: &impl Store) -> Proof {
    let question = Question {
        limit: std::time::Duration::from_secs(60),
        files: Vec::new(),
    };
    store.prove(&question).await.unwrap()
}

/// A source in three batches, read to its end, and the proof that it is complete.
async fn whole(fixture: &impl StoreFixture) -> MadeUp {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 90);
    store.store(&source.cut(30)).await.unwrap();
    store.sign_off(&source.signed_off()).await.unwrap();
    let proof = prove(&store).await;
    assert!(proof.is_complete(), "{proof:?}");
    assert_eq!(proof.samples, source.rows());
    source
}

/// What is wrong with the only source.
async fn flaws(fixture: &impl StoreFixture) -> Vec<Flaw> {
    let proof = prove(&fixture.open()).await;
    assert!(!proof.holds());
    assert_eq!(proof.sources.len(), 1);
    assert_eq!(proof.sources[0].state(), State::Incomplete);
    proof.sources[0].flaws.clone()
}

/// Empty, then growing, then complete; never wrong.
pub(crate) async fn v17_a_source_is_growing_until_it_is_signed_off(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let empty = prove(&store).await;
    assert!(empty.holds() && !empty.is_complete(), "{empty:?}");
    let source = MadeUp::of("edge", "a.csv", 90);
    // A sibling's batch is under way: that is no gap as long as the source is read.
    store
        .store(&[source.batch(0..30), source.batch(60..90)])
        .await
        .unwrap();
    let growing = prove(&store).await;
    assert!(growing.holds() && !growing.is_complete(), "{growing:?}");
    assert_eq!(growing.sources[0].state(), State::Growing);
    assert_eq!(growing.sources[0].missing(), None);
    assert_eq!(growing.sources[0].tiling.missing, 300);
    store.sign_off(&source.signed_off()).await.unwrap();
    let found = flaws(fixture).await;
    assert!(matches!(found[..], [Flaw::Gap(_)]), "{found:?}");
    store.store(&[source.batch(25..65)]).await.unwrap();
    let proof = prove(&store).await;
    assert!(proof.is_complete(), "{proof:?}");
    let proven = &proof.sources[0];
    assert_eq!(proven.read(), Some(90));
    assert_eq!((proven.stored, proven.quarantined), (82, 8));
    assert_eq!(proven.missing(), Some(0));
    let last = START + 89 * 1_000_000;
    assert_eq!(proven.times, Some((START, last)));
    assert!(proven.silent_for.unwrap() < 3600, "{proven:?}");
}

/// Three rounds of a loop, and the same file in another cluster: each counts by itself.
pub(crate) async fn v17_every_pass_and_cluster_is_proven(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let mut source = MadeUp::of("edge", "a.csv", 50);
    for pass in ["one", "two", "three"] {
        source.pass = PassId(pass.to_owned());
        store.store(&source.cut(20)).await.unwrap();
        store.sign_off(&source.signed_off()).await.unwrap();
    }
    let other = MadeUp::of("edge-2", "a.csv", 50);
    store.store(&other.cut(7)).await.unwrap();
    store.sign_off(&other.signed_off()).await.unwrap();
    let proof = prove(&store).await;
    assert!(proof.is_complete(), "{proof:?}");
    let names: Vec<(&str, &str)> = proof
        .sources
        .iter()
        .map(|one| (one.source.cluster.as_str(), one.pass.0.as_str()))
        .collect();
    let expected = [
        ("edge", "one"),
        ("edge", "three"),
        ("edge", "two"),
        ("edge-2", "once"),
    ];
    assert_eq!(names, expected);
    // A sample that is gone could be of any of the rounds, and of no other cluster.
    let one_series = "SELECT min(series_id) FROM series WHERE cluster = 'edge'";
    let before = fixture.count("sample");
    fixture.sql(&format!(
        "DELETE FROM sample WHERE series_id = ({one_series})"
    ));
    assert!(fixture.count("sample") < before);
    let proof = prove(&store).await;
    let flawed = proof.sources.iter().map(|one| !one.flaws.is_empty());
    assert_eq!(flawed.collect::<Vec<_>>(), [true, true, true, false]);
}

/// A row of the ledger is gone: the gap with its neighbours, and its samples are too many.
pub(crate) async fn w10_a_deleted_row_of_the_ledger_is_a_gap(fixture: &impl StoreFixture) {
    let source = whole(fixture).await;
    let gone = source.batch(30..60);
    fixture.sql(&format!(
        "DELETE FROM ledger WHERE sequence = {}",
        gone.id.sequence
    ));
    let found = flaws(fixture).await;
    let [
        Flaw::Gap(gap),
        Flaw::Kept { ledger, kept },
        Flaw::Samples {
            ledger: rows,
            found,
            ..
        },
    ] = &found[..]
    else {
        panic!("{found:?}");
    };
    assert_eq!(gap.range, gone.range);
    let (before, after) = (gap.before.as_ref().unwrap(), gap.after.as_ref().unwrap());
    assert_eq!(before.range, source.batch(0..30).range);
    assert_eq!(after.range, source.batch(60..90).range);
    assert_eq!(after.batch, source.batch(60..90).id);
    assert_eq!(after.streamer, "streamer-0");
    assert_eq!((*ledger, *kept), (5, 8));
    assert_eq!((*rows, *found), (55, 82));
}

/// Samples are gone, or are there that nobody read.
pub(crate) async fn v17_samples_that_are_gone_or_added_are_found(fixture: &impl StoreFixture) {
    let source = whole(fixture).await;
    let one_series = "SELECT min(series_id) FROM series";
    let inside = format!(
        "INSERT INTO sample (series_id, ts, value) SELECT series_id, ts, 1 FROM sample WHERE series_id = ({one_series})"
    );
    fixture.sql(&inside);
    let found = flaws(fixture).await;
    let more = fixture.count("sample");
    let flaw = |samples| Flaw::Samples {
        ledger: source.rows(),
        found: samples,
        times: Some((START, START + 89 * 1_000_000)),
        others: 0,
    };
    assert_eq!(found, [flaw(more)]);
    fixture.sql(&format!(
        "DELETE FROM sample WHERE series_id = ({one_series})"
    ));
    let fewer = fixture.count("sample");
    assert!(fewer < source.rows());
    assert_eq!(flaws(fixture).await, [flaw(fewer)]);
}

/// Samples of a cluster, or of a series, that no ledger row is about.
pub(crate) async fn v17_samples_of_nobody_are_strays(fixture: &impl StoreFixture) {
    let source = whole(fixture).await;
    let strays = async |cluster: Option<&str>| {
        let proof = prove(&fixture.open()).await;
        assert!(!proof.holds());
        let cluster = cluster.map(str::to_owned);
        let samples = source.rows();
        assert_eq!(proof.strays, [Stray { cluster, samples }]);
    };
    fixture.sql("UPDATE series SET cluster = 'elsewhere'");
    strays(Some("elsewhere")).await;
    fixture.sql("DELETE FROM series");
    strays(None).await;
}

/// Counts that somebody changed: of rows, of quarantined ones, and of those that were kept.
pub(crate) async fn v17_changed_counts_are_found(fixture: &impl StoreFixture) {
    let source = whole(fixture).await;
    let first = format!("WHERE sequence = {}", source.batch(0..30).id.sequence);
    fixture.sql(&format!(
        "UPDATE ledger SET \"rows\" = \"rows\" + 1 {first}"
    ));
    let found = flaws(fixture).await;
    let rows = source.rows();
    let wrong = Flaw::Rows {
        ledger: rows + 1,
        signed_off: rows,
    };
    assert_eq!(found[0], wrong);
    assert!(matches!(found[1], Flaw::Samples { .. }), "{found:?}");
    fixture.sql(&format!(
        "UPDATE ledger SET \"rows\" = \"rows\" - 1 {first}"
    ));
    fixture.sql(&format!(
        "UPDATE ledger SET quarantined = quarantined - 1 {first}"
    ));
    let wrong = [
        Flaw::Quarantined {
            ledger: 7,
            signed_off: 8,
        },
        Flaw::Kept { ledger: 7, kept: 8 },
    ];
    assert_eq!(flaws(fixture).await, wrong);
    fixture.sql(&format!(
        "UPDATE ledger SET quarantined = quarantined + 1 {first}"
    ));
    fixture.sql("DELETE FROM quarantine WHERE line = 12");
    assert_eq!(flaws(fixture).await, [Flaw::Kept { ledger: 8, kept: 7 }]);
    let shorter = "UPDATE signed_off SET size = size - 1";
    fixture.sql(shorter);
    let found = flaws(fixture).await;
    let Flaw::Beyond(beyond) = &found[0] else {
        panic!("{found:?}");
    };
    assert_eq!(beyond.batch, source.batch(60..90).id);
    // Nothing but the quarantined rows tells of it, and its samples are nobody's.
    fixture.sql("DELETE FROM ledger");
    fixture.sql("DELETE FROM signed_off");
    assert_eq!(flaws(fixture).await, [Flaw::Kept { ledger: 0, kept: 7 }]);
    let strays = prove(&fixture.open()).await.strays;
    assert_eq!((strays.len(), strays[0].samples), (1, rows));
}

/// An entry that could not be stored explains the gap, and its rows are not lost without a trace.
pub(crate) async fn v17_a_dead_letter_explains_its_gap(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 90);
    let dead = source.batch(30..60);
    store
        .store(&[source.batch(0..30), source.batch(60..90)])
        .await
        .unwrap();
    store.sign_off(&source.signed_off()).await.unwrap();
    let payload = codec::encode(&Message::Batch(dead.clone())).unwrap();
    store
        .dead_letter(&dead.id, &payload, "a check of theirs")
        .await
        .unwrap();
    store
        .dead_letter(&dead.id, b"damaged", "checksum")
        .await
        .unwrap();
    let proof = prove(&store).await;
    assert_eq!(
        (proof.dead_letters.total, proof.dead_letters.unreadable),
        (2, 1)
    );
    let found = &proof.sources[0];
    assert_eq!((found.dead_lettered, found.missing()), (30, Some(0)));
    let [Flaw::Gap(gap)] = &found.flaws[..] else {
        panic!("{:?}", found.flaws);
    };
    let letter = gap.letter.as_ref().unwrap();
    assert_eq!((&letter.batch, letter.rows), (&dead.id, 30));
    assert_eq!(letter.reason, "a check of theirs");
    // Once it is stored after all, the letter is of no account.
    store.store(&[dead]).await.unwrap();
    let proof = prove(&store).await;
    assert!(proof.is_complete(), "{proof:?}");
    assert_eq!(proof.sources[0].dead_lettered, 0);
}

/// Signed off, and nothing of it arrived; and nothing but a dead letter.
pub(crate) async fn v17_a_source_of_which_nothing_is_stored_is_one_gap(
    fixture: &impl StoreFixture,
) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 20);
    store.sign_off(&source.signed_off()).await.unwrap();
    let found = flaws(fixture).await;
    let [Flaw::Gap(gap)] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((gap.range.start, gap.range.end), (0, source.size()));
    assert_eq!((&gap.before, &gap.after), (&None, &None));
    let dead = MadeUp::of("edge", "b.csv", 20).batch(0..20);
    let payload = codec::encode(&Message::Batch(dead.clone())).unwrap();
    store.dead_letter(&dead.id, &payload, "why").await.unwrap();
    let proof = prove(&store).await;
    assert_eq!(proof.sources[1].source, dead.source);
    assert_eq!(proof.sources[1].dead_lettered, 20);
    assert_eq!(proof.sources[1].state(), State::Incomplete);
    let flaw = &proof.sources[1].flaws[..];
    assert!(
        matches!(flaw, [Flaw::DeadLetter(letter)] if letter.rows == 20),
        "{flaw:?}"
    );
}

/// Sums by series, and what is known of a content.
pub(crate) async fn v17_series_are_summed_up_and_contents_found(fixture: &impl StoreFixture) {
    let source = whole(fixture).await;
    let store = fixture.open();
    let all = source.batch(0..90);
    let mut expected: Vec<(i64, Sums)> = all
        .series
        .iter()
        .map(|labels| (series_id(labels), Sums::default()))
        .collect();
    // The last second is not asked for: record 89 is of series 5.
    for row in 0..all.rows.len() {
        if all.rows.time[row].0 == START + 89 * 1_000_000 {
            continue;
        }
        let sums = &mut expected[all.rows.series[row] as usize].1;
        sums.rows += 1;
        if let Some(value) = all.rows.value[row] {
            sums.values += 1;
            sums.sum += value;
            let (least, most) = sums.range.unwrap_or((value, value));
            sums.range = Some((least.min(value), most.max(value)));
        }
    }
    expected.remove(6);
    expected.sort_by_key(|(id, _)| *id);
    let mut ids: Vec<i64> = expected.iter().map(|(id, _)| *id).collect();
    ids.push(77);
    let asked = SeriesQuestion {
        ids,
        from: START,
        to: START + 88 * 1_000_000,
    };
    let question = Question {
        limit: std::time::Duration::from_secs(60),
        files: vec![asked],
    };
    let proof = store.prove(&question).await.unwrap();
    assert_eq!(proof.files, [expected]);
    let origins = store.origins(&source.id.digest).await.unwrap();
    assert_eq!(origins.len(), 1);
    assert_eq!(
        (&origins[0].source, &origins[0].pass),
        (&source.id, &source.pass)
    );
    assert_eq!(origins[0].reach, proof.sources[0].tiling.reach);
    let places: Vec<(u64, u64)> = origins[0]
        .quarantined
        .iter()
        .map(|place| (place.offset, place.kept))
        .collect();
    let bad = all.quarantined.iter().map(|row| (row.offset, 3));
    assert_eq!(places, bad.collect::<Vec<_>>());
    assert_eq!(store.origins("of nothing").await.unwrap(), []);
}
