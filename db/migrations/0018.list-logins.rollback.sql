DROP TABLE IF EXISTS stream_hosts;

ALTER TABLE tickets DROP COLUMN IF EXISTS left_at;

ALTER TABLE tickets DROP COLUMN IF EXISTS host;

ALTER TABLE tickets DROP COLUMN IF EXISTS network;

ALTER TABLE tickets DROP COLUMN IF EXISTS stream;

ALTER TABLE logins DROP COLUMN IF EXISTS user_agent;

ALTER TABLE logins DROP COLUMN IF EXISTS address;

ALTER TABLE logins DROP COLUMN IF EXISTS seen_at;

-- The trigger's function as 0008 made it: the later one, in db/functions, uses these columns.
CREATE OR REPLACE FUNCTION end_logins_of_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE logins SET ended_at = clock_timestamp() WHERE user_id = OLD.id AND ended_at IS NULL;
    RETURN OLD;
END $$;
