-- Trigger: before a user is deleted, lock the symbols of the watchlist in order. The deletion decrements many symbols in any order, so two
-- deletions could deadlock. A sleeping user's list is counted again first, because the deletion of its items decrements the counts.
CREATE OR REPLACE FUNCTION lock_watched_symbols() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM symbols WHERE symbol IN (SELECT i.symbol FROM watchlist_items i WHERE i.user_id = OLD.id) ORDER BY symbol FOR UPDATE;
    IF OLD.asleep THEN
        UPDATE symbols s SET watchers = s.watchers + 1 FROM watchlist_items i WHERE i.user_id = OLD.id AND i.symbol = s.symbol;
    END IF;
    RETURN OLD;
END $$;
