-- Who wants a symbol, and how the last attempts went. The attempt columns belong to `account`:
-- to any other account the symbol was never attempted.
CREATE TABLE IF NOT EXISTS symbols (
    symbol text PRIMARY KEY,
    watchers integer NOT NULL DEFAULT 0 CHECK (watchers >= 0),
    pinned boolean NOT NULL DEFAULT false,
    reads double precision NOT NULL DEFAULT 0,
    reads_at timestamptz,
    account text,
    attempted_at timestamptz,
    attempted_clock double precision,
    quoted boolean NOT NULL DEFAULT false,
    failures integer NOT NULL DEFAULT 0,
    quarantined_until timestamptz
);

CREATE INDEX IF NOT EXISTS symbols_failing ON symbols (quarantined_until) WHERE failures > 0;

COMMENT ON COLUMN symbols.reads IS 'reads as they weighed at reads_at; they decay with a half-life';

COMMENT ON COLUMN symbols.attempted_clock IS 'the market clock (open seconds) of the last attempt that was sent';

COMMENT ON COLUMN symbols.quoted IS 'whether the account ever got a quote of it';
