CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    UNIQUE (cluster, name, digest)
) STRICT;

CREATE TABLE series (
    series_id INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL,
    metric TEXT NOT NULL,
    gpu_id TEXT NOT NULL,
    device TEXT NOT NULL,
    uuid TEXT NOT NULL,
    model TEXT NOT NULL,
    host TEXT NOT NULL,
    container TEXT NOT NULL,
    pod TEXT NOT NULL,
    namespace TEXT NOT NULL,
    labels_raw TEXT NOT NULL,
    -- In which order series became known.
    created INTEGER NOT NULL
) STRICT;

CREATE INDEX series_gpu ON series (uuid, metric);

-- `ts` is microseconds since the epoch.
CREATE TABLE sample (
    series_id INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    value REAL
) STRICT;

CREATE INDEX sample_series_ts ON sample (series_id, ts);

-- Which bytes of which source are stored. Ranges of one source and pass never overlap: writers
-- look before they enter one, in a transaction that keeps other writers out.
-- `checksum` is null for a part of what a batch brought; `first_ts` and `last_ts` are null
-- where no row was stored.
CREATE TABLE ledger (
    source_id INTEGER NOT NULL REFERENCES source (id),
    pass TEXT NOT NULL,
    "start" INTEGER NOT NULL,
    "end" INTEGER NOT NULL CHECK ("end" > "start"),
    checksum INTEGER,
    "rows" INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    first_ts INTEGER,
    last_ts INTEGER,
    incarnation TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    streamer TEXT NOT NULL,
    ingested_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (source_id, pass, "start")
) STRICT;

CREATE TABLE quarantine (
    source_id INTEGER NOT NULL REFERENCES source (id),
    pass TEXT NOT NULL,
    line INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    reason TEXT NOT NULL,
    record BLOB NOT NULL,
    ingested_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE INDEX quarantine_place ON quarantine (source_id, pass, "offset");

CREATE TABLE signed_off (
    source_id INTEGER NOT NULL REFERENCES source (id),
    pass TEXT NOT NULL,
    size INTEGER NOT NULL,
    "rows" INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    incarnation TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    streamer TEXT NOT NULL,
    signed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (source_id, pass)
) STRICT;

-- Entries of the queue that cannot be stored, with their bytes.
CREATE TABLE dead_letter (
    incarnation TEXT NOT NULL,
    sequence TEXT NOT NULL,
    digest TEXT NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT NOT NULL,
    received_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (incarnation, sequence, digest)
) STRICT;

CREATE TABLE canary (
    id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    sent_at TEXT NOT NULL,
    received_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
