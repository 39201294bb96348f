-- How long until the choice may change without a new request: background is due, a request may be retried, a lease ends, or (if anything
-- is queued) a ceiling has room again. Null: only a new request changes it.
CREATE OR REPLACE FUNCTION next_change(p_due timestamptz, p_free timestamptz[], p_now timestamptz)
RETURNS interval LANGUAGE sql STABLE AS $$
    SELECT min(moment) - p_now FROM (
        SELECT p_due UNION ALL SELECT min(ready_at) FROM demand WHERE ready_at > p_now
        UNION ALL SELECT min(taken_until) FROM demand WHERE taken_until > p_now
        UNION ALL SELECT free_at FROM unnest(p_free) AS free_at
            WHERE EXISTS (SELECT FROM demand d WHERE is_ready(d.ready_at, d.taken_until, p_now))
    ) AS changes (moment) WHERE moment > p_now
$$;
