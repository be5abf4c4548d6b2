-- Which life of the data this is: one row, made once.
CREATE TABLE store_token (
    token TEXT NOT NULL
) STRICT;

INSERT INTO store_token VALUES (lower(hex(randomblob(16))));
