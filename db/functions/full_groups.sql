-- The groups that have reached their ceiling, and when the next call is allowed. Calls count as in the slots: from the grant until the
-- response plus the window. An unlisted symbol that turned out to exist was no waste, so its call does not count. A ceiling of 0 is always
-- full. `firm`: the window is a day or longer; such a ceiling binds even if nobody else waits, because its calls are needed tonight.
CREATE OR REPLACE FUNCTION full_groups(
    p_account text, p_groups text[], p_most integer[], p_windows interval[], p_now timestamptz
) RETURNS TABLE (name text, firm boolean, free_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT ceiling.name, ceiling.period >= interval '1 day', edge.ends_at + ceiling.period
    FROM unnest(p_groups, p_most, p_windows) AS ceiling (name, most, period)
    CROSS JOIN LATERAL (
        (SELECT c.ends_at FROM calls c
        WHERE c.account = p_account AND c.groups <> '{}' AND ceiling.name = ANY (c.groups)
            AND c.outcome IS DISTINCT FROM 'unsent' AND NOT (ceiling.name = 'unlisted' AND coalesce(c.outcome = 'ok', false))
            AND c.ends_at > p_now - ceiling.period
        ORDER BY c.ends_at DESC OFFSET greatest(0, ceiling.most - 1) LIMIT 1)
        UNION ALL (SELECT p_now WHERE ceiling.most = 0) ORDER BY ends_at DESC LIMIT 1
    ) AS edge
$$;
