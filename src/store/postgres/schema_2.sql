-- Part of what tells which life of the data this is: one row, made once. A dump that is restored
-- beside it must not bring a second one.
CREATE TABLE store_token (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    token text NOT NULL
);

INSERT INTO store_token (token) VALUES (gen_random_uuid()::text);
