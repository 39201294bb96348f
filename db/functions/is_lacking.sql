-- Whether background may ask for the first quote of a symbol: this source has none of it, it does not rest in quarantine, nobody tried
-- within five minutes, and no call for it is under way.
CREATE OR REPLACE FUNCTION is_lacking(p_account text, p_source text, p_symbol text, p_now timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM symbols WHERE symbol = p_symbol AND source IS DISTINCT FROM p_source)
        AND NOT EXISTS (
            SELECT FROM attempts WHERE account = p_account AND symbol = p_symbol AND (failures > 0 OR at > p_now - interval '5 minutes')
        )
        AND NOT EXISTS (
            SELECT FROM demand d WHERE d.function = 'GLOBAL_QUOTE' AND d.subject = p_symbol AND NOT is_ready(NULL, d.taken_until, p_now)
        )
$$;
