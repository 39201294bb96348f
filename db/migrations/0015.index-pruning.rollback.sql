DROP TABLE IF EXISTS history_thinning;

CREATE INDEX IF NOT EXISTS quote_history_fetched ON quote_history USING brin (fetched_at);

DROP INDEX IF EXISTS quote_history_times;
