CREATE TABLE IF NOT EXISTS watchlist_items (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    symbol text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, symbol)
);

-- The count of watchers follows the items whatever deletes them, an account's cascade included. A new watcher ends a quarantine:
-- the symbol may be tried again now, within what all quarantined symbols may take.
CREATE OR REPLACE FUNCTION count_watchers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO symbols (symbol, watchers) VALUES (NEW.symbol, 1)
        ON CONFLICT (symbol) DO UPDATE SET watchers = symbols.watchers + 1,
            quarantined_until = least(symbols.quarantined_until, ledger_now());
    ELSE
        UPDATE symbols SET watchers = watchers - 1 WHERE symbol = OLD.symbol;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER watchlist_items_counted AFTER INSERT OR DELETE ON watchlist_items
FOR EACH ROW EXECUTE FUNCTION count_watchers();

-- The limit holds under races: the user's row is locked before the count, and each statement in here sees what was committed since.
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
