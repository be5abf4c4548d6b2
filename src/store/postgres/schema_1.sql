CREATE TABLE source (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster text NOT NULL,
    name text NOT NULL,
    digest text NOT NULL,
    UNIQUE (cluster, name, digest)
);

CREATE TABLE series (
    series_id bigint PRIMARY KEY,
    cluster text NOT NULL,
    metric text NOT NULL,
    gpu_id text NOT NULL,
    device text NOT NULL,
    uuid text NOT NULL,
    model text NOT NULL,
    host text NOT NULL,
    container text NOT NULL,
    pod text NOT NULL,
    namespace text NOT NULL,
    labels_raw text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX series_gpu ON series (uuid, metric);

-- One partition per day of event time, made when the first row of that day arrives.
CREATE TABLE sample (
    series_id bigint NOT NULL,
    ts timestamptz NOT NULL,
    value double precision
) PARTITION BY RANGE (ts);

CREATE INDEX sample_series_ts ON sample (series_id, ts);

-- Which bytes of which source are stored. The constraint is what makes storing idempotent.
-- `checksum` is null for a part of what a batch brought; `first_ts` and `last_ts` are null
-- where no row was stored.
CREATE TABLE ledger (
    source_id integer NOT NULL REFERENCES source (id),
    pass text NOT NULL,
    range int8range NOT NULL CHECK (NOT isempty(range)),
    checksum bigint,
    rows bigint NOT NULL,
    quarantined bigint NOT NULL,
    first_ts timestamptz,
    last_ts timestamptz,
    incarnation text NOT NULL,
    sequence bigint NOT NULL,
    streamer text NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ledger_no_overlap
        EXCLUDE USING gist (source_id WITH =, pass WITH =, range WITH &&)
);

CREATE TABLE quarantine (
    source_id integer NOT NULL REFERENCES source (id),
    pass text NOT NULL,
    line bigint NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL,
    record bytea NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX quarantine_place ON quarantine (source_id, pass, "offset");

CREATE TABLE signed_off (
    source_id integer NOT NULL REFERENCES source (id),
    pass text NOT NULL,
    size bigint NOT NULL,
    rows bigint NOT NULL,
    quarantined bigint NOT NULL,
    incarnation text NOT NULL,
    sequence bigint NOT NULL,
    streamer text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, pass)
);

-- Entries of the queue that cannot be stored, with their bytes.
CREATE TABLE dead_letter (
    incarnation text NOT NULL,
    sequence numeric(20) NOT NULL,
    digest text NOT NULL,
    payload bytea NOT NULL,
    reason text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (incarnation, sequence, digest)
);

CREATE TABLE canary (
    id text PRIMARY KEY,
    cluster text NOT NULL,
    sent_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
