-- Keys with which programs read. Their ids come from the sequence of logins, so that one set of ids says what has ended.
CREATE TABLE IF NOT EXISTS api_keys (
    id bigint PRIMARY KEY DEFAULT nextval(pg_get_serial_sequence('logins', 'id')),
    user_id bigint REFERENCES users (id) ON DELETE SET NULL,
    hash bytea NOT NULL,
    prefix text NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    used_at timestamptz,
    ended_at timestamptz
);

CREATE UNIQUE INDEX IF NOT EXISTS api_keys_hash ON api_keys (hash);

CREATE INDEX IF NOT EXISTS api_keys_open ON api_keys (user_id) WHERE ended_at IS NULL;

CREATE INDEX IF NOT EXISTS api_keys_ended ON api_keys (least(ended_at, expires_at)) WHERE least(ended_at, expires_at) IS NOT NULL;

COMMENT ON COLUMN api_keys.ended_at IS 'by clock_timestamp(), as of logins: every process asks twice a second which ended lately';

COMMENT ON COLUMN api_keys.prefix IS 'the first characters of the key, by which its owner recognises it';

-- Its text is in db/functions, which are applied after the migrations.
CREATE OR REPLACE FUNCTION end_keys_of_deleted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';

CREATE OR REPLACE TRIGGER users_end_keys BEFORE DELETE ON users
FOR EACH ROW EXECUTE FUNCTION end_keys_of_deleted();
