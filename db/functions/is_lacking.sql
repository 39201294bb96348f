-- Whether background may call for a symbol's first quote: this source has none, it is not in quarantine, no call for it is under way, and
-- none was made within five minutes. Five minutes, because a call that ended without any outcome for the symbol (a process died, the
-- provider was down) sets no quarantine: without the rest the same symbol would take every turn.
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
