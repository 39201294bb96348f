-- A deleted user's requests leave the queue, but not those that somebody else waits for, too.
ALTER TABLE demand ADD COLUMN IF NOT EXISTS joined boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN demand.joined IS 'somebody other than asker asked for it, too';

-- Whether a user logged in from an address before is asked while it is under attack, and the time of the answer must not tell who exists.
CREATE INDEX IF NOT EXISTS audit_known ON audit (user_id, address, at) WHERE event IN ('logged_in', 'registered', 'password_changed');

-- What a user did, for the export.
CREATE INDEX IF NOT EXISTS audit_actor ON audit (actor, id);

-- Its text is in db/functions, which are applied after the migrations.
CREATE OR REPLACE FUNCTION forget_user() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
CREATE OR REPLACE TRIGGER users_forget BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION forget_user();
