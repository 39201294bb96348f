ALTER TABLE watchlist_items ADD COLUMN IF NOT EXISTS position integer;

COMMENT ON COLUMN watchlist_items.position IS 'where its user put it; null: after all that have one, in the order of adding';

ALTER TABLE users ADD COLUMN IF NOT EXISTS watchlist_changed_at timestamptz;

-- Every process looks here for the lists whose changes its streams must follow. By its name it fires before the watchers are counted:
-- rows of users are locked before rows of symbols, everywhere.
CREATE OR REPLACE FUNCTION note_watchlist_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users SET watchlist_changed_at = clock_timestamp() WHERE id = coalesce(NEW.user_id, OLD.user_id);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER watchlist_items_change_noted AFTER INSERT OR DELETE ON watchlist_items
FOR EACH ROW EXECUTE FUNCTION note_watchlist_change();

-- The watchers of many symbols are counted down by one deletion, in any order; locked in one order before, two of them never deadlock.
CREATE OR REPLACE FUNCTION lock_watched_symbols() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM symbols WHERE symbol IN (SELECT i.symbol FROM watchlist_items i WHERE i.user_id = OLD.id) ORDER BY symbol FOR UPDATE;
    RETURN OLD;
END $$;

CREATE OR REPLACE TRIGGER users_lock_symbols BEFORE DELETE ON users
FOR EACH ROW EXECUTE FUNCTION lock_watched_symbols();
