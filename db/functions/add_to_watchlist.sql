-- Add a symbol, if the limit allows. The user's row is locked first, so that concurrent additions are counted one after the other.
CREATE OR REPLACE FUNCTION add_to_watchlist(p_user bigint, p_symbol text, p_limit integer) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM users WHERE id = p_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'no_user';
    END IF;
    IF EXISTS (SELECT 1 FROM watchlist_items WHERE user_id = p_user AND symbol = p_symbol) THEN
        RETURN 'already';
    END IF;
    IF (SELECT count(*) FROM watchlist_items WHERE user_id = p_user) >= p_limit THEN
        RETURN 'full';
    END IF;
    INSERT INTO watchlist_items (user_id, symbol, added_at) VALUES (p_user, p_symbol, clock_timestamp());
    RETURN 'added';
END $$;
