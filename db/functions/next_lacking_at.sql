-- When to look again for a first quote that an account's list lacks: when a quarantine or the five minutes of is_lacking end. Null: none.
CREATE OR REPLACE FUNCTION next_lacking_at(p_account text, p_source text, p_user bigint, p_now timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT min(greatest(p_now + interval '5 seconds', CASE
        WHEN a.failures > 0 THEN a.quarantined_until
        WHEN a.at > p_now - interval '5 minutes' THEN a.at + interval '5 minutes'
        ELSE p_now + interval '1 minute' END))
    FROM watchlist_items i JOIN symbols s ON s.symbol = i.symbol
    LEFT JOIN attempts a ON a.account = p_account AND a.symbol = i.symbol
    WHERE i.user_id = p_user AND s.source IS DISTINCT FROM p_source
$$;
