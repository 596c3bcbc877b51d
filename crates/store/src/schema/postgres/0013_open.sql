-- What is not final stands in two small tables of its own, which triggers keep, so that programs of the version before
-- keep them too. Partial indexes by status did that before: but a status that an index speaks of makes each end of an
-- attempt write a new entry into every index of its row, which took a third of a payment. Without them, and with room
-- on the page, an end touches no index at all.
CREATE TABLE open_attempts (
    attempt BIGINT PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE running_requests (
    request BIGINT PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

INSERT INTO open_attempts SELECT row FROM attempts WHERE status IN ('reserved', 'disputed');
INSERT INTO running_requests SELECT number FROM requests WHERE status = 'running';

-- Always by the index: a plan made while the table was empty would read all that is dead in it later.
CREATE FUNCTION attempts_opened() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO open_attempts SELECT f.row FROM fresh f WHERE f.status IN ('reserved', 'disputed');
    RETURN NULL;
END $$;
CREATE FUNCTION attempts_ended() RETURNS TRIGGER LANGUAGE plpgsql SET enable_seqscan = off AS $$ BEGIN
    DELETE FROM open_attempts WHERE attempt = ANY (ARRAY(
        SELECT f.row FROM fresh f WHERE f.status NOT IN ('reserved', 'disputed')));
    RETURN NULL;
END $$;
CREATE FUNCTION requests_began() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO running_requests SELECT f.number FROM fresh f WHERE f.status = 'running';
    RETURN NULL;
END $$;
CREATE FUNCTION requests_ended() RETURNS TRIGGER LANGUAGE plpgsql SET enable_seqscan = off AS $$ BEGIN
    DELETE FROM running_requests WHERE request = ANY (ARRAY(
        SELECT f.number FROM fresh f WHERE f.status <> 'running'));
    RETURN NULL;
END $$;

CREATE TRIGGER attempts_opened AFTER INSERT ON attempts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION attempts_opened();
CREATE TRIGGER attempts_ended AFTER UPDATE ON attempts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION attempts_ended();
CREATE TRIGGER requests_began AFTER INSERT ON requests REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION requests_began();
CREATE TRIGGER requests_ended AFTER UPDATE ON requests REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION requests_ended();

DROP INDEX IF EXISTS attempts_open;
DROP INDEX IF EXISTS requests_running;
ALTER TABLE attempts SET (fillfactor = 50);
ALTER TABLE requests SET (fillfactor = 50);
