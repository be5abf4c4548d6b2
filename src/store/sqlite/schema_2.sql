-- Part of what tells which life of the data this is: one row, made once. A dump that is restored
-- beside it must not bring a second one.
CREATE TABLE store_token (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    token TEXT NOT NULL
) STRICT;

INSERT INTO store_token VALUES (1, lower(hex(randomblob(16))));
