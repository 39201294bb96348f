-- What one source said is never served as another's: rows of both may stand side by side.
ALTER TABLE daily_bars DROP CONSTRAINT IF EXISTS daily_bars_pkey;

ALTER TABLE daily_bars ADD PRIMARY KEY (source, symbol, day);

ALTER TABLE listings DROP CONSTRAINT IF EXISTS listings_pkey;

ALTER TABLE listings ADD PRIMARY KEY (source, symbol);

-- When a symbol's bars were asked for. A symbol that the provider does not have has a row here and no bars.
CREATE TABLE IF NOT EXISTS bars_state (
    source text NOT NULL,
    symbol text NOT NULL,
    fetched_at timestamptz,
    refused_at timestamptz,
    PRIMARY KEY (source, symbol)
);

COMMENT ON COLUMN bars_state.fetched_at IS 'the ledger''s time of the last answer that brought bars';

COMMENT ON COLUMN bars_state.refused_at IS 'the ledger''s time of an answer that had none; null once bars have come';

CREATE TABLE IF NOT EXISTS listing_state (
    source text PRIMARY KEY,
    refreshed_at timestamptz NOT NULL,
    rows integer NOT NULL CHECK (rows > 0)
);

-- A listing that failed is tried again after an hour: the journal itself remembers when the last one was asked for.
CREATE INDEX IF NOT EXISTS calls_listings ON calls (account, granted_at) WHERE function = 'LISTING_STATUS';

CREATE TABLE IF NOT EXISTS searches (
    source text NOT NULL,
    query text NOT NULL,
    matches jsonb NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (source, query)
);

COMMENT ON COLUMN searches.matches IS 'what the provider found, best first; its numbers as strings';

CREATE INDEX IF NOT EXISTS searches_found ON searches (found_at);
