-- When the next call may go: for every rule of n calls, the n-th newest call must have ended a whole period ago. Null: now.
CREATE OR REPLACE FUNCTION slot_free_at(p_account text, p_calls integer[], p_periods interval[])
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT max(edge.ends_at + rule.period)
    FROM unnest(p_calls, p_periods) AS rule (calls, period)
    CROSS JOIN LATERAL (
        SELECT c.ends_at FROM calls c WHERE c.account = p_account AND c.outcome IS DISTINCT FROM 'unsent'
        ORDER BY c.ends_at DESC OFFSET rule.calls - 1 LIMIT 1
    ) AS edge
$$;
