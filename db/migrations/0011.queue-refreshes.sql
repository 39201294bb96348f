-- What operators asked to be refreshed, and how each symbol ended: told by the settlement of a call, so nothing is forgotten with a process.
CREATE TABLE IF NOT EXISTS refresh_jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queued_at timestamptz NOT NULL,
    queued_by text NOT NULL,
    request_id text
);

COMMENT ON COLUMN refresh_jobs.queued_at IS 'the ledger''s time';

CREATE TABLE IF NOT EXISTS refresh_items (
    job_id bigint NOT NULL REFERENCES refresh_jobs (id) ON DELETE CASCADE,
    symbol text NOT NULL,
    outcome text,
    call bigint,
    settled_at timestamptz,
    PRIMARY KEY (job_id, symbol)
);

COMMENT ON COLUMN refresh_items.outcome IS 'of the call that answered it; null: it stands in the line, or its time there is over';

CREATE INDEX IF NOT EXISTS refresh_items_open ON refresh_items (symbol) WHERE outcome IS NULL;

-- A subject may be in several jobs; nothing ever used this.
ALTER TABLE demand DROP COLUMN IF EXISTS job;

ALTER TABLE symbols ADD COLUMN IF NOT EXISTS kept boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN symbols.kept IS 'pinned by an operator: the list of the overview does not unpin it';

-- When a process was last seen at work.
CREATE TABLE IF NOT EXISTS pulses (
    name text PRIMARY KEY,
    at timestamptz NOT NULL
);

COMMENT ON COLUMN pulses.name IS 'beat, or a worker process as the journal names it';
