-- Part of what tells which life of the data this is: one row, made once.
CREATE TABLE store_token (
    token text NOT NULL
);

INSERT INTO store_token VALUES (gen_random_uuid()::text);
