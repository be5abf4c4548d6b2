-- What is not kept any more: what the samples of a day and series came to; several rows of one add up.
-- `on_arrival`: they were never stored, because their day was over when they came. `pending`: the
-- partition with them is about to be dropped; they count here, and not in it any more.
CREATE TABLE expired (
    day date NOT NULL,
    series_id bigint NOT NULL,
    on_arrival boolean NOT NULL,
    pending oid,
    rows bigint NOT NULL,
    filled bigint NOT NULL,
    total double precision NOT NULL,
    smallest double precision,
    largest double precision,
    expired_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX expired_series ON expired (series_id, day);
