ALTER TABLE users ADD COLUMN IF NOT EXISTS locked_at timestamptz;

COMMENT ON COLUMN users.locked_at IS 'an operator locked the account: no login, and those that were open have ended';

-- One row a log-in on one device, whose refresh tokens follow one another. It outlives its account for as long as access tokens may.
CREATE TABLE IF NOT EXISTS logins (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint REFERENCES users (id) ON DELETE SET NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);

CREATE INDEX IF NOT EXISTS logins_open ON logins (user_id) WHERE ended_at IS NULL;

CREATE INDEX IF NOT EXISTS logins_ended ON logins (ended_at) WHERE ended_at IS NOT NULL;

COMMENT ON COLUMN logins.ended_at IS 'by clock_timestamp(): every process asks twice a second which ended lately';

-- A used token is kept for as long as its login: it tells a thief from the owner.
CREATE TABLE IF NOT EXISTS refresh_tokens (
    hash bytea PRIMARY KEY,
    login_id bigint NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE INDEX IF NOT EXISTS refresh_tokens_login ON refresh_tokens (login_id);

CREATE TABLE IF NOT EXISTS tickets (
    hash bytea PRIMARY KEY,
    login_id bigint NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS tickets_login ON tickets (login_id);

-- Whatever deletes an account ends its logins: the tokens that are out there stop within a second.
CREATE OR REPLACE FUNCTION end_logins_of_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE logins SET ended_at = clock_timestamp() WHERE user_id = OLD.id AND ended_at IS NULL;
    RETURN OLD;
END $$;

CREATE OR REPLACE TRIGGER users_end_logins BEFORE DELETE ON users
FOR EACH ROW EXECUTE FUNCTION end_logins_of_deleted();
