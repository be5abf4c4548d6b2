-- The table was not written to before this version. Times are microseconds since the epoch.
DROP TABLE canary;

CREATE TABLE canary (
    id TEXT PRIMARY KEY,
    cluster TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    collector TEXT NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE INDEX canary_stored_at ON canary (stored_at);
