-- Which transaction entered the range, so that whoever follows what is added finds its samples. Rows
-- that are there already stay null: nobody follows them, and the table is not written anew.
ALTER TABLE ledger ADD COLUMN transaction bigint;
ALTER TABLE ledger ALTER COLUMN transaction SET DEFAULT (pg_current_xact_id()::text::bigint);

CREATE INDEX ledger_transaction ON ledger (transaction);
