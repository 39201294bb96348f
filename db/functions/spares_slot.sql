-- Whether there is a slot that background will not need: for every rule under a day, more slots are free than background's pace uses in
-- the rule's period.
CREATE OR REPLACE FUNCTION spares_slot(p_account text, p_calls integer[], p_periods interval[], p_gap interval, p_now timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(bool_and(
        rule.calls - used.n > ceil(date_part('epoch', rule.period) / greatest(0.001, date_part('epoch', p_gap)))
    ), true)
    FROM unnest(p_calls, p_periods) AS rule (calls, period)
    CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM calls c
        WHERE c.account = p_account AND c.outcome IS DISTINCT FROM 'unsent' AND c.ends_at > p_now - rule.period
    ) AS used
    WHERE rule.period >= interval '1 minute' AND rule.period < interval '1 day'
$$;
