-- One deletion counts down the watchers of many symbols, in any order; locked in one order before, two of them never deadlock. The list
-- of a sleeping account counts again first, for the deletion of its items will count it down.
CREATE OR REPLACE FUNCTION lock_watched_symbols() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM symbols WHERE symbol IN (SELECT i.symbol FROM watchlist_items i WHERE i.user_id = OLD.id) ORDER BY symbol FOR UPDATE;
    IF OLD.asleep THEN
        UPDATE symbols s SET watchers = s.watchers + 1 FROM watchlist_items i WHERE i.user_id = OLD.id AND i.symbol = s.symbol;
    END IF;
    RETURN OLD;
END $$;
