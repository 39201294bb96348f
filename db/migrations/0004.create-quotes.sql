-- The newest quote of each symbol. `fetched_at`, the ledger's time of the response, is its version.
CREATE TABLE IF NOT EXISTS quotes (
    symbol text PRIMARY KEY,
    source text NOT NULL,
    price numeric NOT NULL CHECK (price > 0),
    change numeric,
    change_percent numeric,
    volume bigint,
    trading_day date NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    previous_close numeric,
    fetched_at timestamptz NOT NULL,
    published_at timestamptz
);

CREATE INDEX IF NOT EXISTS quotes_unpublished ON quotes (fetched_at) WHERE published_at IS NULL;

CREATE TABLE IF NOT EXISTS quote_history (
    symbol text NOT NULL,
    fetched_at timestamptz NOT NULL,
    source text NOT NULL,
    price numeric NOT NULL,
    volume bigint,
    trading_day date NOT NULL,
    PRIMARY KEY (symbol, fetched_at)
);

CREATE TABLE IF NOT EXISTS daily_bars (
    symbol text NOT NULL,
    day date NOT NULL,
    source text NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume bigint,
    PRIMARY KEY (symbol, day)
);

CREATE TABLE IF NOT EXISTS listings (
    symbol text PRIMARY KEY,
    source text NOT NULL,
    name text NOT NULL,
    exchange text NOT NULL,
    asset_type text NOT NULL,
    listed_on date
);
