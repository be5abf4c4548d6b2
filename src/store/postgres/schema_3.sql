-- The table was not written to before this version. Altered and not made anew: rights stay.
DELETE FROM canary;
ALTER TABLE canary
    ALTER COLUMN received_at DROP DEFAULT,
    ADD COLUMN published_at timestamptz NOT NULL,
    ADD COLUMN stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN collector text NOT NULL,
    ADD COLUMN deliveries bigint NOT NULL DEFAULT 1;

CREATE INDEX canary_stored_at ON canary (stored_at);
