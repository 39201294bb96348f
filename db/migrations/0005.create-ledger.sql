-- The journal: one row is one call to the provider, and nothing else counts calls. A row occupies a slot of every rule
-- from granted_at until ends_at plus the rule's period; ends_at is the end of the lease until the response has arrived.
CREATE TABLE IF NOT EXISTS calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL,
    function text NOT NULL,
    subjects text[] NOT NULL,
    purpose smallint NOT NULL CHECK (purpose BETWEEN 0 AND 2),
    granted_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    outcome text,
    caller text NOT NULL,
    asker text
);

COMMENT ON COLUMN calls.asker IS 'a hash of the user or address whose miss it served';

COMMENT ON COLUMN calls.outcome IS 'null: in flight, or never known; unsent: nothing left this house, so it counts for nothing';

CREATE INDEX IF NOT EXISTS calls_slots ON calls (account, ends_at DESC) INCLUDE (purpose)
WHERE outcome IS DISTINCT FROM 'unsent';

CREATE INDEX IF NOT EXISTS calls_askers ON calls (asker, granted_at) WHERE asker IS NOT NULL;

CREATE INDEX IF NOT EXISTS calls_granted ON calls (granted_at);

-- What an account's calls wait for beside its slots.
CREATE TABLE IF NOT EXISTS ledgers (
    account text PRIMARY KEY,
    held_until timestamptz,
    held_for text,
    probing boolean NOT NULL DEFAULT false,
    background_at timestamptz NOT NULL DEFAULT '-infinity',
    background_held_until timestamptz,
    bulk_denied_until timestamptz,
    retry_credit double precision NOT NULL DEFAULT 1
);

COMMENT ON COLUMN ledgers.probing IS 'after this hold one call alone goes first; the rest wait for its outcome';

COMMENT ON COLUMN ledgers.background_at IS 'when the last background call was due: the next is due a gap later, so that jitter does not add up';

COMMENT ON COLUMN ledgers.retry_credit IS 'calls that quarantined symbols may take: every granted call earns a twentieth';

-- The line: what is wanted now, or under way. One row a subject is the single flight across processes.
CREATE TABLE IF NOT EXISTS demand (
    function text NOT NULL,
    subject text NOT NULL,
    purpose smallint NOT NULL CHECK (purpose BETWEEN 0 AND 2),
    since timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    ready_at timestamptz,
    job bigint,
    tries smallint NOT NULL DEFAULT 0,
    call bigint,
    taken_until timestamptz,
    clock_before double precision,
    asker text,
    PRIMARY KEY (function, subject)
);

COMMENT ON COLUMN demand.purpose IS '0 interactive, 1 operator, 2 background';

COMMENT ON COLUMN demand.ready_at IS 'between two tries of a failing call';

CREATE INDEX IF NOT EXISTS demand_calls ON demand (call) WHERE call IS NOT NULL;

-- The ledger's clock. Tests replace this function; nothing else tells the ledger the time.
CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT clock_timestamp() $$;
