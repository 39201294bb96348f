-- Insert a granted call into the ledger and mark its requests as under way. Its symbols count one more attempt, which an answer takes back
-- (update_quoted in common/store/market/symbols.py): if the process dies, the symbols stay due and rest first.
CREATE OR REPLACE FUNCTION record_call(
    p_account text, p_source text, p_caller text, p_pick choice, p_lease interval, p_now timestamptz
) RETURNS calls LANGUAGE plpgsql AS $$
DECLARE
    made calls;
BEGIN
    INSERT INTO calls (account, function, subjects, class, groups, asker, granted_at, ends_at, caller)
    VALUES (
        p_account, CASE WHEN cardinality(p_pick.subjects) > 1 THEN 'REALTIME_BULK_QUOTES' ELSE p_pick.function END, p_pick.subjects,
        p_pick.class, p_pick.groups, p_pick.asker, p_now, p_now + p_lease, p_caller
    ) RETURNING * INTO made;
    INSERT INTO demand (function, subject, class, groups, since, expires, tries, call, taken_until)
    SELECT p_pick.function, subject, 'refresh', '{}', p_now, p_now + p_lease, 1, made.id, p_now + p_lease
    FROM unnest(p_pick.subjects) AS subject
    ON CONFLICT (function, subject) DO UPDATE SET
        tries = demand.tries + 1, call = excluded.call, taken_until = excluded.taken_until;
    IF p_pick.function = 'GLOBAL_QUOTE' THEN
        INSERT INTO symbols (symbol) SELECT subject FROM unnest(p_pick.subjects) AS subject ORDER BY subject ON CONFLICT DO NOTHING;
        INSERT INTO attempts (account, symbol, at, tries) SELECT p_account, subject, p_now, 1 FROM unnest(p_pick.subjects) AS subject
        ON CONFLICT (account, symbol) DO UPDATE SET at = excluded.at, tries = least(attempts.tries + 1, 20);
    END IF;
    RETURN made;
END $$;
