DROP TRIGGER IF EXISTS users_lock_symbols ON users;

DROP FUNCTION IF EXISTS lock_watched_symbols();

DROP TRIGGER IF EXISTS watchlist_items_change_noted ON watchlist_items;

DROP FUNCTION IF EXISTS note_watchlist_change();

ALTER TABLE users DROP COLUMN IF EXISTS watchlist_changed_at;

ALTER TABLE watchlist_items DROP COLUMN IF EXISTS position;
