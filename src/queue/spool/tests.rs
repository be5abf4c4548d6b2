use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Spool, SpoolError};

const SEGMENT: u64 = 200;

fn open(folder: &TempDir) -> Spool<String> {
    Spool::open(folder.path(), SEGMENT).unwrap()
}

fn undone(spool: &Spool<String>) -> Vec<(u64, String, Vec<u8>)> {
    let sequences: Vec<(u64, String)> = spool
        .undone()
        .map(|(sequence, note)| (sequence, note.clone()))
        .collect();
    sequences
        .into_iter()
        .map(|(sequence, note)| {
            let payload = spool.load(sequence).unwrap().unwrap().to_vec();
            (sequence, note, payload)
        })
        .collect()
}

fn logs(folder: &TempDir) -> Vec<std::path::PathBuf> {
    let mut logs: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    logs
}

#[test]
fn undone_records_survive_and_done_ones_do_not() {
    let folder = TempDir::new().unwrap();
    let mut spool = open(&folder);
    for number in 0..10u8 {
        let sequence = spool
            .append(format!("note {number}"), &[number; 40])
            .unwrap();
        assert_eq!(sequence, u64::from(number));
    }
    spool
        .mark_done(&BTreeSet::from([0, 1, 2, 3, 4, 6, 99]))
        .unwrap();
    let incarnation = spool.incarnation().clone();
    let expected: Vec<_> = [5u8, 7, 8, 9]
        .into_iter()
        .map(|number| {
            let note = format!("note {number}");
            (u64::from(number), note, vec![number; 40])
        })
        .collect();
    assert_eq!(undone(&spool), expected);
    drop(spool);
    let spool = open(&folder);
    assert_eq!(undone(&spool), expected);
    assert_eq!(spool.incarnation(), &incarnation);
    assert_eq!(spool.next_sequence(), 10);
    assert_eq!(incarnation.0.len(), 32);
}

#[test]
fn a_drained_spool_takes_no_room_and_never_repeats_a_sequence() {
    let folder = TempDir::new().unwrap();
    for round in 0..5 {
        let mut spool = open(&folder);
        assert_eq!(spool.next_sequence(), round * 3);
        let appended: BTreeSet<u64> = (0..3)
            .map(|_| spool.append(String::new(), &[7; 300]).unwrap())
            .collect();
        assert!(spool.size() > 900);
        spool.mark_done(&appended).unwrap();
        assert_eq!(spool.size(), 0);
        assert_eq!(logs(&folder).len(), 1);
    }
}

#[test]
fn a_torn_tail_is_cut_and_its_sequence_not_used_again() {
    let folder = TempDir::new().unwrap();
    let mut spool = open(&folder);
    spool.append("whole".to_owned(), b"payload").unwrap();
    spool.append("torn".to_owned(), b"payload").unwrap();
    drop(spool);
    let path = &logs(&folder)[0];
    let length = fs::metadata(path).unwrap().len();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(length - 1).unwrap();
    let mut spool = open(&folder);
    assert_eq!(spool.undone_count(), 1);
    let sequence = spool.append("after".to_owned(), b"more").unwrap();
    assert!(sequence > 1, "{sequence}");
    drop(spool);
    let notes: Vec<String> = undone(&open(&folder))
        .into_iter()
        .map(|one| one.1)
        .collect();
    assert_eq!(notes, ["whole", "after"]);
}

#[test]
fn two_processes_cannot_have_one_spool() {
    let folder = TempDir::new().unwrap();
    let _first = open(&folder);
    let second = Spool::<String>::open(folder.path(), SEGMENT);
    assert!(matches!(second, Err(SpoolError::InUse(_))));
}

#[test]
fn a_wiped_spool_is_another_incarnation() {
    let folder = TempDir::new().unwrap();
    let first = open(&folder).incarnation().clone();
    for entry in fs::read_dir(folder.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert_ne!(open(&folder).incarnation(), &first);
}

#[test]
fn a_damaged_record_is_an_error_and_never_another_payload() {
    let folder = TempDir::new().unwrap();
    let mut spool = open(&folder);
    let sequence = spool.append(String::new(), &[1; 50]).unwrap();
    let path = &logs(&folder)[0];
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    assert!(matches!(
        spool.load(sequence),
        Err(SpoolError::Damaged { sequence: 0, .. })
    ));
}

#[test]
fn a_damaged_record_does_not_take_the_ones_after_it_along() {
    let folder = TempDir::new().unwrap();
    let mut spool: Spool<String> = Spool::open(folder.path(), 1 << 20).unwrap();
    for number in 0..3u8 {
        spool.append(number.to_string(), &[number; 50]).unwrap();
    }
    drop(spool);
    let path = &logs(&folder)[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[60] ^= 1;
    fs::write(path, bytes).unwrap();
    let mut spool = open(&folder);
    let held: Vec<u64> = undone(&spool).into_iter().map(|one| one.0).collect();
    assert_eq!((held, spool.next_sequence()), (vec![1, 2], 3));
    spool.mark_done(&BTreeSet::from([1, 2])).unwrap();
    assert_eq!(spool.size(), 0);
}

/// Found by fuzzing: the next number was beyond all numbers.
#[test]
fn a_sound_record_of_an_impossible_number_is_damage() {
    let folder = TempDir::new().unwrap();
    let mut spool = open(&folder);
    spool.append("kept".to_owned(), b"payload").unwrap();
    drop(spool);
    let impossible = super::record::encode(u64::MAX, &"note", b"payload").unwrap();
    let log = OpenOptions::new().append(true).open(&logs(&folder)[0]);
    log.unwrap().write_all(&impossible).unwrap();
    fs::write(folder.path().join(format!("{}.log", u64::MAX)), "").unwrap();
    let mut spool = open(&folder);
    assert_eq!(
        undone(&spool),
        [(0, "kept".to_owned(), b"payload".to_vec())]
    );
    let sequence = spool.append(String::new(), b"more").unwrap();
    assert!((1..100).contains(&sequence), "{sequence}");
}

fn marks(folder: &TempDir) -> std::path::PathBuf {
    logs(folder)[0].with_extension("done")
}

#[test]
fn w11_what_a_full_disk_refused_to_mark_is_not_done_and_can_be_marked_again() {
    let folder = TempDir::new().unwrap();
    let mut spool: Spool<String> = Spool::open(folder.path(), 1 << 20).unwrap();
    for number in 0..4u8 {
        spool.append(number.to_string(), &[number; 50]).unwrap();
    }
    symlink("/dev/full", marks(&folder)).unwrap();
    let done = BTreeSet::from([0, 1]);
    for _ in 0..3 {
        let error = spool.mark_done(&done).unwrap_err();
        let SpoolError::File { source, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
        assert_eq!(undone(&spool).len(), 4);
    }
    fs::remove_file(marks(&folder)).unwrap();
    spool.mark_done(&done).unwrap();
    drop(spool);
    let held: Vec<u64> = open(&folder).undone().map(|one| one.0).collect();
    assert_eq!(held, [2, 3]);
}

#[test]
fn w11_a_full_disk_does_not_keep_whole_segments_from_being_freed() {
    let folder = TempDir::new().unwrap();
    let mut spool = open(&folder);
    // Two to a segment.
    for number in 0..4u8 {
        spool.append(number.to_string(), &[number; 120]).unwrap();
    }
    symlink("/dev/full", marks(&folder)).unwrap();
    spool.mark_done(&BTreeSet::from([0, 2, 3])).unwrap_err();
    let held: Vec<u64> = undone(&spool).into_iter().map(|one| one.0).collect();
    assert_eq!(held, [0, 1]);
    let before = spool.size();
    spool.mark_done(&BTreeSet::from([0, 1])).unwrap();
    assert!(spool.size() < before);
    assert_eq!(spool.undone_count(), 0);
}

#[test]
fn w11_a_torn_mark_hides_none_that_follow() {
    let folder = TempDir::new().unwrap();
    let mut spool: Spool<String> = Spool::open(folder.path(), 1 << 20).unwrap();
    for number in 0..3u8 {
        spool.append(number.to_string(), &[number; 50]).unwrap();
    }
    fs::write(marks(&folder), [7; 5]).unwrap();
    spool.mark_done(&BTreeSet::from([1])).unwrap();
    drop(spool);
    let held: Vec<u64> = open(&folder).undone().map(|one| one.0).collect();
    assert_eq!(held, [0, 2]);
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<u8>),
    MarkDone(Vec<prop::sample::Index>),
    Reopen,
    Crash(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..120).prop_map(Step::Append),
        3 => prop::collection::vec(any::<prop::sample::Index>(), 1..6).prop_map(Step::MarkDone),
        1 => Just(Step::Reopen),
        1 => prop::collection::vec(any::<u8>(), 1..30).prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A model: what was appended and not marked is there, whatever happens in between.
    #[test]
    fn the_spool_holds_what_was_appended_and_not_marked(steps in prop::collection::vec(step(), 1..40)) {
        let folder = TempDir::new().unwrap();
        let mut spool = open(&folder);
        let mut model: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut used = BTreeSet::new();
        for step in steps {
            match step {
                Step::Append(payload) => {
                    let sequence = spool.append(String::new(), &payload).unwrap();
                    prop_assert!(used.insert(sequence), "{} was used twice", sequence);
                    model.push((sequence, payload));
                }
                Step::MarkDone(which) if !model.is_empty() => {
                    let done: BTreeSet<u64> = which.iter().map(|index| index.get(&model).0).collect();
                    spool.mark_done(&done).unwrap();
                    model.retain(|(sequence, _)| !done.contains(sequence));
                }
                Step::MarkDone(_) => {}
                Step::Reopen => {
                    drop(spool);
                    spool = open(&folder);
                }
                Step::Crash(garbage) => {
                    drop(spool);
                    let last = logs(&folder).pop().unwrap();
                    OpenOptions::new().append(true).open(last).unwrap().write_all(&garbage).unwrap();
                    spool = open(&folder);
                }
            }
            let held: Vec<(u64, Vec<u8>)> = undone(&spool).into_iter().map(|one| (one.0, one.2)).collect();
            prop_assert_eq!(&held, &model);
        }
    }
}
