-- Who did what to which account or symbol. No password and no token is ever in it.
CREATE TABLE IF NOT EXISTS audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    event text NOT NULL,
    user_id bigint REFERENCES users (id) ON DELETE SET NULL,
    actor text NOT NULL,
    address text,
    subject text,
    request_id text
);

COMMENT ON COLUMN audit.user_id IS 'the account that it is about; null: none, an unknown one, or deleted since';

COMMENT ON COLUMN audit.actor IS 'who did it: user:<id>, cli:<login name>@<host>, or anybody';

CREATE INDEX IF NOT EXISTS audit_user ON audit (user_id, event, at);

CREATE INDEX IF NOT EXISTS audit_at ON audit (at);

-- Of a deleted account what happened stays, and from where does not.
CREATE OR REPLACE FUNCTION forget_addresses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE audit SET address = NULL WHERE user_id = OLD.id AND address IS NOT NULL;
    RETURN OLD;
END $$;

CREATE OR REPLACE TRIGGER users_forget_addresses BEFORE DELETE ON users
FOR EACH ROW EXECUTE FUNCTION forget_addresses();
