DROP TABLE IF EXISTS searches;

DROP INDEX IF EXISTS calls_listings;

DROP TABLE IF EXISTS listing_state;

DROP TABLE IF EXISTS bars_state;

-- One row a symbol again: what stood in both tables can be asked for again.
TRUNCATE listings, daily_bars;

ALTER TABLE listings DROP CONSTRAINT IF EXISTS listings_pkey;

ALTER TABLE listings ADD PRIMARY KEY (symbol);

ALTER TABLE daily_bars DROP CONSTRAINT IF EXISTS daily_bars_pkey;

ALTER TABLE daily_bars ADD PRIMARY KEY (symbol, day);
