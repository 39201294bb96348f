DROP INDEX IF EXISTS quote_history_fetched;
