-- Trigger: note the time of a watchlist's change, by which API processes find the lists to send again. Its trigger's name makes it fire
-- before the one that counts watchers: rows of users are locked before rows of symbols everywhere, so that changes never deadlock.
CREATE OR REPLACE FUNCTION note_watchlist_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users SET watchlist_changed_at = clock_timestamp() WHERE id = coalesce(NEW.user_id, OLD.user_id);
    RETURN NULL;
END $$;
