-- What its user sees of a login in the list of sessions: when it last got tokens, and from where.
ALTER TABLE logins ADD COLUMN IF NOT EXISTS seen_at timestamptz;

ALTER TABLE logins ADD COLUMN IF NOT EXISTS address text;

ALTER TABLE logins ADD COLUMN IF NOT EXISTS user_agent text;

COMMENT ON COLUMN logins.seen_at IS 'when it last got tokens, from this address, by this user agent; null: not since these columns exist';

-- A ticket stays good for the reconnects of its stream. Before its first use `expires_at` is the end of that time, after it the last reconnect's.
ALTER TABLE tickets ADD COLUMN IF NOT EXISTS stream integer NOT NULL DEFAULT 0;

ALTER TABLE tickets ADD COLUMN IF NOT EXISTS network text;

ALTER TABLE tickets ADD COLUMN IF NOT EXISTS host text;

ALTER TABLE tickets ADD COLUMN IF NOT EXISTS left_at timestamptz;

COMMENT ON COLUMN tickets.stream IS 'how many streams it has opened; 0: it is unused';

COMMENT ON COLUMN tickets.network IS 'of the client that used it first';

COMMENT ON COLUMN tickets.host IS 'the process that serves its stream (stream_hosts)';

COMMENT ON COLUMN tickets.left_at IS 'when its stream ended; null: it is open, while the host is at work';

-- The processes that serve streams of tickets. One that was killed never notes that its streams ended.
CREATE TABLE IF NOT EXISTS stream_hosts (
    id text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
