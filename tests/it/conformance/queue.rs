//! What every queue has to do. Each function takes an empty queue whose idle time is [`IDLE`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use telectl::model::batch::Message;
use telectl::model::canary::{Canary, CanaryId};
use telectl::model::source::{BatchId, IncarnationId, StoreToken};
use telectl::model::time::EventTime;
use telectl::queue::{Claim, Delivery, Entry, Queue, codec};

use crate::servers::eventually;

/// Silence after which an entry is given to another consumer.
pub(crate) const IDLE: Duration = Duration::from_millis(600);
const SHORT: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(10);

fn incarnation() -> IncarnationId {
    IncarnationId("11112222333344445555666677778888".to_owned())
}

/// The store that everything goes to, where it matters to nobody.
pub(crate) fn store_token() -> StoreToken {
    StoreToken("the first store".to_owned())
}

fn all_into(store: &StoreToken, sequences: &[u64]) -> BTreeMap<u64, StoreToken> {
    let told = sequences.iter().map(|one| (*one, store.clone()));
    told.collect()
}

pub(crate) fn entry(sequence: u64) -> Entry {
    Entry {
        id: BatchId {
            incarnation: incarnation(),
            sequence,
        },
        // Any bytes, also those that mean something to a protocol.
        payload: format!("\0\r\n$5\r\nentry {sequence}\u{ff}")
            .into_bytes()
            .into(),
    }
}

/// Receives until there are `count` entries.
pub(crate) async fn receive<Q: Queue>(queue: &Q, consumer: &str, count: usize) -> Vec<Delivery> {
    let mut received = Vec::new();
    eventually("deliveries", LIMIT, async || {
        let more = queue.receive(consumer, 100, SHORT).await;
        received.extend(more.expect("the queue delivers"));
        (received.len() >= count).then_some(())
    })
    .await;
    received
}

pub(crate) fn sequences(deliveries: &[Delivery]) -> BTreeSet<u64> {
    deliveries
        .iter()
        .map(|delivery| delivery.entry.id.sequence)
        .collect()
}

async fn publish<Q: Queue>(queue: &Q, sequences: std::ops::Range<u64>) {
    for sequence in sequences {
        queue.publish(entry(sequence)).await.expect("it publishes");
    }
}

/// Every entry arrives once, unchanged, and leaves with its acknowledgement.
pub(crate) async fn w08_an_entry_stays_until_it_is_acknowledged<Q: Queue>(queue: Q) {
    publish(&queue, 0..10).await;
    let received = receive(&queue, "a", 10).await;
    assert_eq!(received.len(), 10);
    assert_eq!(sequences(&received), (0..10).collect());
    for delivery in &received {
        assert_eq!(delivery.entry, entry(delivery.entry.id.sequence));
    }
    let depth = queue.depth().await.expect("a depth");
    assert_eq!((depth.entries, depth.pending), (10, 10));
    assert!(depth.oldest.expect("there are entries") < LIMIT);
    queue
        .acknowledge(&received[..4], &store_token())
        .await
        .expect("it takes it");
    let depth = queue.depth().await.expect("a depth");
    assert_eq!((depth.entries, depth.pending), (6, 6));
    queue
        .acknowledge(&received, &store_token())
        .await
        .expect("again is fine");
    let depth = queue.depth().await.expect("a depth");
    assert_eq!((depth.entries, depth.pending), (0, 0));
    assert_eq!((depth.oldest, depth.dead), (None, 0));
}

/// The streamer learns what was acknowledged, until it forgets it.
pub(crate) async fn acknowledgements_are_told_until_they_are_forgotten<Q: Queue>(queue: Q) {
    let before = queue.acknowledgements(&incarnation()).await.expect("none");
    assert_eq!(before.sequences, BTreeMap::new());
    publish(&queue, 0..4).await;
    let received = receive(&queue, "a", 4).await;
    queue
        .acknowledge(&received, &store_token())
        .await
        .expect("it takes it");
    let told = queue.acknowledgements(&incarnation()).await.expect("some");
    assert_eq!(told.sequences, all_into(&store_token(), &[0, 1, 2, 3]));
    let forgotten = BTreeSet::from([0, 3]);
    queue
        .forget_acknowledgements(&incarnation(), &forgotten)
        .await
        .expect("it forgets");
    let told = queue.acknowledgements(&incarnation()).await.expect("some");
    assert_eq!(told.sequences, all_into(&store_token(), &[1, 2]));
    let other = IncarnationId("another".to_owned());
    let told = queue.acknowledgements(&other).await.expect("none");
    assert_eq!(told.sequences, BTreeMap::new());
}

/// Where an entry went, in which data set, and whether it is still there.
pub(crate) async fn a_published_entry_can_be_looked_for<Q: Queue>(queue: Q) {
    let published = queue.publish(entry(0)).await.expect("it publishes");
    let other = queue.publish(entry(1)).await.expect("it publishes");
    let acknowledgements = queue.acknowledgements(&incarnation()).await.expect("some");
    for one in [&published, &other] {
        assert_eq!(acknowledgements.tokens.get(&one.shard), Some(&one.token));
    }
    let present = async || {
        let present = queue.is_present(&entry(0).id, &published.position).await;
        present.expect("an answer")
    };
    assert!(present().await);
    let received = receive(&queue, "a", 2).await;
    assert!(present().await, "a delivered entry is still there");
    queue
        .acknowledge(&received, &store_token())
        .await
        .expect("it takes it");
    assert!(!present().await);
}

/// Two consumers share the entries; nobody gets what another one has.
pub(crate) async fn consumers_share_the_entries<Q: Queue>(queue: Q) {
    publish(&queue, 0..8).await;
    let mut had = BTreeSet::new();
    for turn in 0..LIMIT.as_millis() / SHORT.as_millis() {
        let consumer = ["a", "b"][turn as usize % 2];
        let received = queue.receive(consumer, 3, SHORT).await.expect("an answer");
        assert!(received.len() <= 3, "{}", received.len());
        for sequence in sequences(&received) {
            assert!(had.insert(sequence), "{sequence} was delivered twice");
        }
        queue
            .acknowledge(&received, &store_token())
            .await
            .expect("it takes it");
        if had.len() == 8 {
            return;
        }
    }
    panic!("only {had:?} were delivered");
}

/// What a silent consumer has is given to another one; what it acknowledges late does no harm.
pub(crate) async fn w09_entries_of_a_silent_consumer_are_taken_over<Q: Queue>(queue: Q) {
    publish(&queue, 0..6).await;
    let stuck = receive(&queue, "stuck", 6).await;
    let begun = Instant::now();
    let taken_over = receive(&queue, "thief", 6).await;
    assert_eq!(sequences(&taken_over), sequences(&stuck));
    assert!(begun.elapsed() < IDLE * 5, "{:?}", begun.elapsed());
    queue
        .acknowledge(&taken_over, &store_token())
        .await
        .expect("it takes it");
    queue
        .acknowledge(&stuck, &store_token())
        .await
        .expect("late is fine");
    assert_eq!(queue.depth().await.expect("a depth").entries, 0);
    let nothing = queue
        .receive("thief", 10, IDLE * 2)
        .await
        .expect("an answer");
    assert!(nothing.is_empty());
}

/// Waiting takes as long as it was asked to, and ends when something arrives.
pub(crate) async fn receiving_waits_for_entries<Q: Queue>(queue: Q) {
    let begun = Instant::now();
    let nothing = queue.receive("a", 10, IDLE).await.expect("an answer");
    assert!(nothing.is_empty());
    assert!(begun.elapsed() >= IDLE, "{:?}", begun.elapsed());
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.receive("a", 10, LIMIT).await }
    });
    tokio::task::yield_now().await;
    let begun = Instant::now();
    publish(&queue, 0..1).await;
    let received = waiting.await.expect("no panic").expect("an entry");
    assert_eq!(sequences(&received), BTreeSet::from([0]));
    assert!(begun.elapsed() < LIMIT / 2, "{:?}", begun.elapsed());
}

/// An entry that arrives between two calls belongs to the next one.
pub(crate) async fn an_entry_between_two_calls_is_not_lost<Q: Queue>(queue: Q) {
    let nothing = queue.receive("a", 10, SHORT).await.expect("an answer");
    assert!(nothing.is_empty());
    publish(&queue, 0..3).await;
    let received = receive(&queue, "a", 3).await;
    // Once each: not again by a takeover.
    assert_eq!(received.len(), 3);
}

/// A dead entry is out of the way, its streamer is told, and it is counted.
pub(crate) async fn w09_a_dead_entry_is_set_aside<Q: Queue>(queue: Q) {
    publish(&queue, 0..2).await;
    let received = receive(&queue, "a", 2).await;
    let poison = received.first().expect("an entry");
    queue
        .dead_letter(poison, "checksum mismatch", &store_token())
        .await
        .expect("it is set aside");
    let depth = queue.depth().await.expect("a depth");
    assert_eq!((depth.entries, depth.dead), (1, 1));
    let told = queue.acknowledgements(&incarnation()).await.expect("some");
    let sequence = poison.entry.id.sequence;
    assert_eq!(told.sequences, all_into(&store_token(), &[sequence]));
}

/// A claim keeps others out until it expires, is renewed by its owner, and may be completed.
pub(crate) async fn w17_a_claim_is_held_by_one<Q: Queue>(queue: Q) {
    let claim = async |key: &str, owner: &str, time| {
        let store = store_token();
        let claimed = queue.claim(key, owner, time, Some(&store)).await;
        claimed.expect("an answer")
    };
    assert_eq!(claim("x", "a", IDLE).await, Claim::Mine);
    assert_eq!(claim("x", "b", LIMIT).await, Claim::Theirs);
    assert_eq!(claim("y", "b", LIMIT).await, Claim::Mine);
    assert_eq!(claim("x", "a", IDLE).await, Claim::Mine, "renewed");
    let taken = eventually("the claim's end", LIMIT, async || {
        let taken = claim("x", "b", LIMIT).await;
        (taken != Claim::Theirs).then_some(taken)
    });
    assert_eq!(taken.await, Claim::Mine);
    assert_eq!(claim("x", "a", IDLE).await, Claim::Theirs);
    let noted = queue.complete_claim("x", &store_token()).await;
    noted.expect("it is noted");
    assert_eq!(claim("x", "a", IDLE).await, Claim::Completed);
    assert_eq!(claim("x", "b", IDLE).await, Claim::Completed);
}

/// What one store has is not done for another one, and the streamer hears which has it.
pub(crate) async fn w17_work_is_completed_into_one_store<Q: Queue>(queue: Q) {
    let (first, second) = (store_token(), StoreToken("the second store".to_owned()));
    let claim = async |owner: &str, store| {
        let claimed = queue.claim("x", owner, LIMIT, store).await;
        claimed.expect("an answer")
    };
    assert_eq!(queue.announced_store().await.expect("an answer"), None);
    for store in [&first, &second] {
        queue.announce_store(store).await.expect("it is noted");
        let announced = queue.announced_store().await.expect("an answer");
        assert_eq!(announced.as_ref(), Some(store));
        assert_eq!(claim("a", Some(store)).await, Claim::Mine);
        assert_eq!(claim("b", Some(store)).await, Claim::Theirs);
        let noted = queue.complete_claim("x", store).await;
        noted.expect("it is noted");
        assert_eq!(claim("b", Some(store)).await, Claim::Completed);
    }
    assert_eq!(claim("b", Some(&first)).await, Claim::Mine);
    publish(&queue, 0..2).await;
    for (delivery, store) in receive(&queue, "c", 2).await.iter().zip([&first, &second]) {
        let one = std::slice::from_ref(delivery);
        queue.acknowledge(one, store).await.expect("it takes it");
        let told = queue.acknowledgements(&incarnation()).await.expect("some");
        let sequence = delivery.entry.id.sequence;
        assert_eq!(told.sequences.get(&sequence), Some(store));
    }
}

/// A canary is an entry like any other, and however many are sent, what is remembered of their
/// acknowledgements does not grow.
pub(crate) async fn v10_canaries_take_the_way_of_data_and_leave_nothing<Q: Queue>(queue: Q) {
    for round in 0..3 {
        for number in 0..4 {
            let canary = Canary {
                route: Canary::route(number),
                id: CanaryId::of(u128::from(round * 4 + number)),
                cluster: "edge".to_owned(),
                sent_at: EventTime(1),
            };
            let payload = codec::encode(&Message::Canary(canary)).expect("it is encoded");
            let id = Canary::route(number);
            let published = queue.publish(Entry { id, payload }).await;
            published.expect("it publishes");
        }
        let received = receive(&queue, "a", 4).await;
        let names: BTreeSet<String> = received
            .iter()
            .map(|delivery| match codec::decode(&delivery.entry.payload) {
                Ok(Message::Canary(canary)) => canary.id.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names.len(), 4);
        let acknowledged = queue.acknowledge(&received, &store_token()).await;
        acknowledged.expect("it takes it");
    }
    let told = queue.acknowledgements(&Canary::route(0).incarnation).await;
    let told = told.expect("an answer").sequences;
    assert_eq!(told.into_keys().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(queue.depth().await.expect("a depth").entries, 0);
}
