-- A tracked symbol whose quarantine is over, the one waiting longest. Its call is a trial.
CREATE OR REPLACE FUNCTION next_retry(p_account text, p_source text, p_barred text[], p_now timestamptz)
RETURNS choice LANGUAGE sql STABLE AS $$
    SELECT (
        'GLOBAL_QUOTE', ARRAY[a.symbol], CASE WHEN s.source = p_source THEN 'refresh' ELSE 'first' END, '{trial}'::text[], NULL, true
    )::choice
    FROM attempts a JOIN symbols s USING (symbol)
    WHERE a.account = p_account AND a.failures > 0 AND a.quarantined_until <= p_now AND s.level IS NOT NULL
        AND NOT 'trial' = ANY (p_barred)
        AND NOT EXISTS (
            SELECT FROM demand d WHERE d.function = 'GLOBAL_QUOTE' AND d.subject = a.symbol AND NOT is_ready(NULL, d.taken_until, p_now)
        )
    ORDER BY a.quarantined_until, a.symbol LIMIT 1
$$;
