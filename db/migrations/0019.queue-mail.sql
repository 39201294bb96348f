-- Mail to send; workers send it. It holds no secret: a worker makes a reset's token when it sends it.
CREATE TABLE IF NOT EXISTS outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    content jsonb NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0
);

CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due_at);

COMMENT ON COLUMN outbox.due_at IS 'of the next try; set before each try, so that a mail whose worker died is sent again';

COMMENT ON COLUMN outbox.expires_at IS 'after that it is not sent any more';

-- Of each account the newest token alone is good. Ended ones are kept for as long as they count against the limit.
CREATE TABLE IF NOT EXISTS password_resets (
    mail_id bigint PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash bytea NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);

CREATE UNIQUE INDEX IF NOT EXISTS password_resets_hash ON password_resets (hash);

CREATE INDEX IF NOT EXISTS password_resets_user ON password_resets (user_id);

COMMENT ON COLUMN password_resets.mail_id IS 'the row of outbox; a further try of the same mail replaces the token';
