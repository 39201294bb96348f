-- The history is pruned in batches, the oldest rows first. Thinning leaves old rows on pages that new ones fill; a BRIN index of these
-- pages finds nothing any more. Old calls need no index of their own: a call is granted before it ends, and calls_granted finds those.
CREATE INDEX IF NOT EXISTS quote_history_times ON quote_history (fetched_at);

DROP INDEX IF EXISTS quote_history_fetched;

-- One row: up to when the history is thinned, so that each of its rows is looked at once.
CREATE TABLE IF NOT EXISTS history_thinning (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    until timestamptz NOT NULL
);

INSERT INTO history_thinning (until) VALUES ('-infinity') ON CONFLICT DO NOTHING;
