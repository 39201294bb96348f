-- Trigger: a user's watchlist stops counting when the user falls asleep, and counts again when the user comes back.
CREATE OR REPLACE FUNCTION count_sleepers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM symbols WHERE symbol IN (SELECT i.symbol FROM watchlist_items i WHERE i.user_id = NEW.id) ORDER BY symbol FOR UPDATE;
    UPDATE symbols s SET watchers = greatest(0, s.watchers + CASE WHEN NEW.asleep THEN -1 ELSE 1 END)
    FROM watchlist_items i WHERE i.user_id = NEW.id AND i.symbol = s.symbol;
    RETURN NULL;
END $$;
