-- Trigger: keep symbols.watchers equal to the watchlists, whatever changes them, including a user's deletion. Lists of sleeping users do
-- not count. A new watcher ends a quarantine: the symbol may be tried now, as a trial. The user's missing quotes are looked for at once.
CREATE OR REPLACE FUNCTION count_watchers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sleeps boolean := (SELECT asleep FROM users WHERE id = coalesce(NEW.user_id, OLD.user_id));
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO symbols (symbol, watchers) VALUES (NEW.symbol, CASE WHEN sleeps THEN 0 ELSE 1 END)
        ON CONFLICT (symbol) DO UPDATE SET watchers = symbols.watchers + excluded.watchers;
        UPDATE attempts SET quarantined_until = least(quarantined_until, ledger_now()) WHERE symbol = NEW.symbol AND failures > 0;
        UPDATE users SET firsts_at = least(firsts_at, ledger_now()) WHERE id = NEW.user_id;
    ELSIF sleeps IS DISTINCT FROM true THEN
        UPDATE symbols SET watchers = greatest(0, watchers - 1) WHERE symbol = OLD.symbol;
    END IF;
    RETURN NULL;
END $$;
