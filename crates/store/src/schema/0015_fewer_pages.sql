-- Indexes whose entries come at random wrote half of the pages of a payment. Repetitions are looked for among the rows
-- of the last minutes: by 2,048 rows in a row the entries that commits write lie on twenty pages. Requests of an end
-- user are listed in the order of their acceptance, for which the other index was never used.
DROP INDEX requests_end_user;
DROP INDEX requests_repeated;
CREATE INDEX requests_repeated ON requests (number / 2048, fingerprint);
