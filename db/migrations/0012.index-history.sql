-- Forgetting old quotes must not read all of them: they are appended in the order of their time.
CREATE INDEX IF NOT EXISTS quote_history_fetched ON quote_history USING brin (fetched_at);
