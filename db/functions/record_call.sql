-- Write a call into the journal and mark what it is for as under way. What the symbols were before is kept, for a call may never be sent.
CREATE OR REPLACE FUNCTION record_call(
    p_account text, p_source text, p_caller text, p_pick choice, p_lease interval, p_clock double precision, p_now timestamptz
) RETURNS calls LANGUAGE plpgsql AS $$
DECLARE
    made calls;
BEGIN
    INSERT INTO calls (account, function, subjects, class, groups, asker, granted_at, ends_at, caller)
    VALUES (
        p_account, CASE WHEN cardinality(p_pick.subjects) > 1 THEN 'REALTIME_BULK_QUOTES' ELSE p_pick.function END, p_pick.subjects,
        p_pick.class, p_pick.groups, p_pick.asker, p_now, p_now + p_lease, p_caller
    ) RETURNING * INTO made;
    INSERT INTO demand (function, subject, class, groups, since, expires, tries, call, taken_until, clock_before)
    SELECT p_pick.function, subject, 'refresh', '{}', p_now, p_now + p_lease, 1, made.id, p_now + p_lease, s.clock
    FROM unnest(p_pick.subjects) AS subject LEFT JOIN symbols s ON s.symbol = subject
    ON CONFLICT (function, subject) DO UPDATE SET
        tries = demand.tries + 1, call = excluded.call, taken_until = excluded.taken_until, clock_before = excluded.clock_before;
    IF p_pick.function = 'GLOBAL_QUOTE' THEN
        INSERT INTO symbols (symbol, clock) SELECT subject, p_clock FROM unnest(p_pick.subjects) AS subject ORDER BY subject
        ON CONFLICT (symbol) DO UPDATE SET clock = excluded.clock;
        INSERT INTO attempts (account, symbol, at) SELECT p_account, subject, p_now FROM unnest(p_pick.subjects) AS subject
        ON CONFLICT (account, symbol) DO UPDATE SET at = excluded.at;
    END IF;
    RETURN made;
END $$;
