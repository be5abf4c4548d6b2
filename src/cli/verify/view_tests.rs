//! What a person reads.

use crate::model::source::{BatchId, ByteRange, IncarnationId, PassId, SourceId};
use crate::report::Coloring;
use crate::store::proof::{
    DeadLetters, End, Expired, Flaw, Gap, Letter, Piece, Proof, SourceProof, Stray, Tiling,
};

use super::page;

fn batch(sequence: u64) -> BatchId {
    BatchId {
        incarnation: IncarnationId("5p00l".to_owned()),
        sequence,
    }
}

fn piece(start: u64, end: u64) -> Piece {
    Piece {
        range: ByteRange { start, end },
        streamer: "streamer-1".to_owned(),
        batch: batch(start),
    }
}

fn source(name: &str, pass: &str) -> SourceProof {
    SourceProof {
        source: SourceId {
            cluster: "edge".to_owned(),
            name: name.to_owned(),
            digest: "0123456789abcdef".repeat(4),
        },
        pass: PassId(pass.to_owned()),
        end: Some(End {
            size: 8000,
            rows: 90,
            quarantined: 1,
        }),
        stored: 90,
        quarantined: 1,
        dead_lettered: 0,
        tiling: Tiling {
            covered: 8000,
            reach: 8000,
            ..Tiling::default()
        },
        times: Some((0, 1_000_000)),
        silent_for: Some(3600),
        flaws: Vec::new(),
    }
}

fn shown(sources: Vec<SourceProof>, strays: Vec<Stray>, letters: u64) -> String {
    let proof = Proof {
        samples: 1234,
        expired: Expired::default(),
        strays,
        dead_letters: DeadLetters {
            total: letters,
            unreadable: letters / 2,
        },
        files: Vec::new(),
        sources,
    };
    page(&proof, &[], None, Coloring::Plain)
}

#[test]
fn v17_complete_passes_are_one_row_and_growing_ones_have_no_end() {
    let mut growing = source("b.csv", "once");
    (growing.end, growing.tiling.covered) = (None, 4000);
    let sources = vec![source("a.csv", "1f"), source("a.csv", "2e"), growing];
    assert_eq!(
        shown(sources, Vec::new(), 0),
        "SOURCE      DIGEST        PASS      STATE     READ  STORED  QUARANTINED  DEAD  MISSING  BYTES\n\
         edge/a.csv  0123456789ab  2 passes  complete  182   180     2            0     0        8,000\n\
         edge/b.csv  0123456789ab  once      growing   -     90      1            0     -        4,000 so far\n\
         \n\
         Sources and passes: 2 complete, 1 growing. Samples: 1,234.\n\
         Nothing is wrong so far; what is growing is not signed off yet.\n"
    );
}

#[test]
fn v17_a_gap_is_told_with_what_lies_around_it_and_what_to_do() {
    let mut incomplete = source("a.csv", "once");
    (incomplete.stored, incomplete.dead_lettered) = (50, 30);
    incomplete.tiling = Tiling {
        covered: 5000,
        gaps: 2,
        missing: 3000,
        ..Tiling::default()
    };
    let gap = Gap {
        range: ByteRange {
            start: 1000,
            end: 3000,
        },
        before: Some(piece(0, 1000)),
        after: None,
        letter: Some(Letter {
            range: ByteRange {
                start: 1000,
                end: 2000,
            },
            rows: 30,
            batch: batch(7),
            reason: "value out of range\u{1b}[2J".to_owned(),
        }),
    };
    incomplete.flaws = vec![
        Flaw::Gap(gap),
        Flaw::Samples {
            ledger: 50,
            found: 49,
            times: Some((0, 1_000_000)),
            others: 2,
        },
    ];
    let stray = Stray {
        cluster: Some("elsewhere".to_owned()),
        samples: 3,
    };
    let text = shown(vec![incomplete], vec![stray], 4);
    let (_, below) = text.split_once("\n\n").unwrap();
    assert_eq!(
        below,
        "incomplete: edge/a.csv@0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, pass once\n  \
           gap        bytes 1,000..3,000 of 8,000 are not in the ledger, the first of 2 gaps with 3,000 bytes\n  \
           before     bytes 0..1,000 by streamer-1, batch 5p00l#0\n  \
           after      the end of the source\n  \
           letter     bytes 1,000..2,000 with 30 rows, batch 5p00l#7, could not be stored: value out of range\\u{1b}[2J\n  \
           samples    the ledger counts 50 rows, 49 samples are there: 1 missing, between 1970-01-01T00:00:00Z and 1970-01-01T00:00:01Z, together with 2 other sources or passes of the same times\n  \
           nowhere    10 of 91 rows\n  \
           do         remove the cause; the entry is in the table dead_letter, incarnation 5p00l, sequence 7\n  \
           do         telectl writes ledger and samples in one transaction, so somebody else changed them: restore a dump of the database, or give the pipeline an empty one, which it fills again from its sources\n\
         \n\
         besides:\n  \
           strays     3 samples of cluster elsewhere that no row of the ledger accounts for\n  \
           do         telectl writes ledger and samples in one transaction, so somebody else changed them: restore a dump of the database, or give the pipeline an empty one, which it fills again from its sources\n  \
           dead       4 entries could not be stored; 2 of them do not tell of which source: SELECT incarnation, sequence, reason FROM dead_letter\n\
         \n\
         Sources and passes: 1 incomplete. Samples: 1,234.\n\
         Not proven: what is listed above does not hold.\n"
    );
}

#[test]
fn v17_an_empty_store_says_so_and_samples_without_sources_do_not_hide() {
    assert_eq!(
        shown(Vec::new(), Vec::new(), 0),
        "The store is empty: nothing was read into it yet.\n"
    );
    let stray = Stray {
        cluster: None,
        samples: 3,
    };
    let text = shown(Vec::new(), vec![stray], 0);
    assert!(text.contains("3 samples of unknown series"), "{text}");
    assert!(text.contains("Sources and passes: none."), "{text}");
}
