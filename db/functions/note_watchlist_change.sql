-- Every process looks here for the lists whose changes its streams must follow. By its trigger's name it fires before the watchers are
-- counted: rows of users are locked before rows of symbols, everywhere.
CREATE OR REPLACE FUNCTION note_watchlist_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users SET watchlist_changed_at = clock_timestamp() WHERE id = coalesce(NEW.user_id, OLD.user_id);
    RETURN NULL;
END $$;
