-- A repetition is looked for among requests of the last minutes. By fingerprint alone each request read and wrote
-- another page of an index of years; by quarter of an hour first, what arrives at one time lies together.
DROP INDEX requests_fingerprint;
CREATE INDEX requests_repeated ON requests (created_at / 900000000, fingerprint);
