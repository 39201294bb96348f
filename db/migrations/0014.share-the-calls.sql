-- Whose calls they are: classes, requesters and ceilings in place of three purposes; attempts that belong to an account; weights on a log
-- scale, so that the choice looks at one row a level. From here on SQL functions stand whole in db/functions.
-- Additive where it can be; what no longer means anything goes, and processes of the version before make no call from here on.

-- A call or a request: its class, and the groups whose ceilings it counts for (db/functions/groups_of.sql).
ALTER TABLE calls ADD COLUMN IF NOT EXISTS class text NOT NULL DEFAULT 'refresh';
ALTER TABLE calls ADD COLUMN IF NOT EXISTS groups text[] NOT NULL DEFAULT '{}';
DO $$
BEGIN
    IF EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'calls' AND column_name = 'purpose') THEN
        UPDATE calls SET class = CASE purpose WHEN 0 THEN 'user' ELSE 'operator' END, groups = '{waiting}' WHERE purpose < 2;
    END IF;
END $$;
ALTER TABLE calls ALTER COLUMN class DROP DEFAULT;
ALTER TABLE calls DROP CONSTRAINT IF EXISTS calls_class;
ALTER TABLE calls ADD CONSTRAINT calls_class CHECK (class IN ('refresh', 'first', 'user', 'stranger', 'operator'));
ALTER TABLE calls DROP COLUMN IF EXISTS purpose CASCADE;
CREATE INDEX IF NOT EXISTS calls_slots ON calls (account, ends_at DESC) WHERE outcome IS DISTINCT FROM 'unsent';
CREATE INDEX IF NOT EXISTS calls_grouped ON calls (account, ends_at DESC) INCLUDE (groups, outcome) WHERE groups <> '{}';
COMMENT ON COLUMN calls.asker IS 'whose demand it served: user:N, network:HASH, or pins';
COMMENT ON COLUMN calls.outcome IS 'null: in flight, or never known; unsent: the request was never written, so it counts for nothing';

-- What is queued means nothing across versions: readers ask again, orders are queued again by a worker.
TRUNCATE demand;
ALTER TABLE demand DROP COLUMN IF EXISTS purpose CASCADE;
ALTER TABLE demand ADD COLUMN IF NOT EXISTS class text NOT NULL;
ALTER TABLE demand ADD COLUMN IF NOT EXISTS groups text[] NOT NULL;
ALTER TABLE demand DROP CONSTRAINT IF EXISTS demand_class;
ALTER TABLE demand ADD CONSTRAINT demand_class CHECK (class IN ('refresh', 'user', 'stranger', 'operator'));
CREATE INDEX IF NOT EXISTS demand_order ON demand (class, since, function, subject);
CREATE INDEX IF NOT EXISTS demand_expires ON demand (expires);
CREATE INDEX IF NOT EXISTS demand_taken ON demand (taken_until) WHERE taken_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS demand_ready ON demand (ready_at) WHERE ready_at IS NOT NULL;

-- How an account's tries of a symbol went. A row is written at the grant and deleted when a quote comes.
CREATE TABLE IF NOT EXISTS attempts (
    account text NOT NULL,
    symbol text NOT NULL REFERENCES symbols (symbol) ON DELETE CASCADE,
    at timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    quarantined_until timestamptz,
    PRIMARY KEY (account, symbol)
);
CREATE INDEX IF NOT EXISTS attempts_symbol ON attempts (symbol);
CREATE INDEX IF NOT EXISTS attempts_failing ON attempts (account, quarantined_until) WHERE failures > 0;

-- Symbols that an account had asked for though the listing lacks them.
CREATE TABLE IF NOT EXISTS credits (
    asker text NOT NULL,
    symbol text NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (asker, symbol)
);
CREATE INDEX IF NOT EXISTS credits_symbol ON credits (symbol);
CREATE INDEX IF NOT EXISTS credits_used ON credits (used_at);

ALTER TABLE symbols ADD COLUMN IF NOT EXISTS source text;
ALTER TABLE symbols ADD COLUMN IF NOT EXISTS clock double precision NOT NULL DEFAULT 0;
ALTER TABLE symbols ADD COLUMN IF NOT EXISTS level smallint GENERATED ALWAYS AS (
    CASE WHEN watchers > 0 THEN floor(ln(watchers + reads) / ln(1.5::double precision))
        WHEN reads >= 0.5 THEN floor(ln(greatest(1::double precision, reads)) / ln(1.5::double precision)) - 1000
        WHEN pinned THEN -1002 END::smallint
) STORED;
COMMENT ON COLUMN symbols.source IS 'whose quote we have; null: nobody''s';
COMMENT ON COLUMN symbols.clock IS 'the market''s clock (open seconds) that the last answer, or the last try, was of';
COMMENT ON COLUMN symbols.level IS 'the weight on a log scale; from -1002 on: nobody watches it; null: nobody wants it';

-- Ages go over, or a day's quota would be spent on what is there already. With end-of-day prices the clock counted sessions; now it counts
-- open seconds: a session has 23,400, and 12,600 on the half days, whose numbers since 2024 these are.
DO $$
BEGIN
    IF EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'symbols' AND column_name = 'attempted_clock') THEN
        INSERT INTO attempts (account, symbol, at, failures, quarantined_until)
        SELECT account, symbol, coalesce(attempted_at, ledger_now()), failures, coalesce(quarantined_until, ledger_now())
        FROM symbols WHERE failures > 0 AND account IS NOT NULL ON CONFLICT DO NOTHING;
        UPDATE symbols s SET source = q.source, clock = coalesce(
            CASE WHEN s.attempted_clock < 20000 THEN 23400 * s.attempted_clock - 10800 * (
                SELECT count(*) FROM unnest(ARRAY[127, 231, 248, 377, 480, 498, 730, 749, 980, 1130, 1231, 1381, 1481, 1502]) AS half WHERE half <= s.attempted_clock
            ) ELSE s.attempted_clock END, 0)
        FROM quotes q WHERE q.symbol = s.symbol AND s.quoted;
    END IF;
END $$;
ALTER TABLE symbols DROP COLUMN IF EXISTS account, DROP COLUMN IF EXISTS attempted_at, DROP COLUMN IF EXISTS attempted_clock,
    DROP COLUMN IF EXISTS quoted, DROP COLUMN IF EXISTS failures, DROP COLUMN IF EXISTS quarantined_until;
CREATE INDEX IF NOT EXISTS symbols_turn ON symbols (source, level, clock) WHERE level IS NOT NULL;
CREATE INDEX IF NOT EXISTS symbols_pinned ON symbols (symbol) WHERE pinned;

ALTER TABLE ledgers ADD COLUMN IF NOT EXISTS failures integer NOT NULL DEFAULT 0;
ALTER TABLE ledgers ADD COLUMN IF NOT EXISTS closed_at timestamptz;
ALTER TABLE ledgers ADD COLUMN IF NOT EXISTS last_background text;
ALTER TABLE ledgers ADD COLUMN IF NOT EXISTS clock double precision NOT NULL DEFAULT 0;
ALTER TABLE ledgers ADD COLUMN IF NOT EXISTS weighed_at timestamptz;
ALTER TABLE ledgers DROP COLUMN IF EXISTS background_held_until, DROP COLUMN IF EXISTS retry_credit;
COMMENT ON COLUMN ledgers.failures IS 'calls in a row without an answer';
COMMENT ON COLUMN ledgers.closed_at IS 'when a failing provider closed the gate, or a probe last failed; calls from before say nothing new';
COMMENT ON COLUMN ledgers.last_background IS 'refresh or first: background takes them in turn';
COMMENT ON COLUMN ledgers.weighed_at IS 'when weights that fade were last looked at';
COMMENT ON COLUMN ledgers.clock IS 'the market''s clock at the last grant';

ALTER TABLE users ADD COLUMN IF NOT EXISTS seen_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE users ADD COLUMN IF NOT EXISTS asleep boolean NOT NULL DEFAULT false;
ALTER TABLE users ADD COLUMN IF NOT EXISTS firsts_at timestamptz;
COMMENT ON COLUMN users.asleep IS 'not seen for 30 days: its list weighs nothing until it comes back';
COMMENT ON COLUMN users.firsts_at IS 'from when on to look for a first quote that its list lacks; null: it lacks none';
UPDATE users SET firsts_at = now() WHERE firsts_at IS NULL AND EXISTS (
    SELECT FROM watchlist_items i JOIN symbols s USING (symbol) WHERE i.user_id = users.id AND s.source IS NULL
);
CREATE INDEX IF NOT EXISTS users_firsts ON users (firsts_at) WHERE firsts_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS users_seen ON users (seen_at) WHERE NOT asleep;
CREATE OR REPLACE FUNCTION count_sleepers() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE OR REPLACE TRIGGER users_sleep AFTER UPDATE OF asleep ON users
FOR EACH ROW WHEN (OLD.asleep IS DISTINCT FROM NEW.asleep) EXECUTE FUNCTION count_sleepers();

-- What the choice of a call is (db/functions/choose_call.sql).
DO $$
BEGIN
    IF to_regtype('choice') IS NULL THEN
        CREATE TYPE choice AS (function text, subjects text[], class text, groups text[], asker text, background boolean);
    END IF;
END $$;

DROP FUNCTION IF EXISTS grant_call(
    text, text, integer[], interval[], interval, double precision,
    interval, double precision, double precision, interval, integer
);
DROP FUNCTION IF EXISTS join_line(text, text[], integer, interval, integer, text, integer, text);
DROP FUNCTION IF EXISTS background_candidates(text, timestamptz, double precision, double precision, interval);
