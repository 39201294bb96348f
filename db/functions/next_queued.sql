-- The queued request that is served next, without those in barred groups. First requests whose promised time requires it (urgent_at); then
-- by class, trials last; within a class the requester with the fewest calls in p_span, then the longest waiting. p_each: by class, the most
-- calls of one requester in p_span. Operators may queue a hundred thousand requests, so of those only the oldest is read. Charts for which
-- nobody waits are served by chart_turn.
CREATE OR REPLACE FUNCTION next_queued(
    p_account text, p_barred text[], p_span interval, p_each jsonb, p_now timestamptz
) RETURNS demand LANGUAGE sql STABLE AS $$
    SELECT (request).* FROM (
        (
            SELECT d AS request FROM demand d
            WHERE d.class IN ('user', 'stranger') AND is_ready(d.ready_at, d.taken_until, p_now) AND NOT d.groups && p_barred
                AND NOT coalesce(calls_of(p_account, d.asker, d.class, p_span, p_now) >= (p_each ->> d.class)::integer, false)
            ORDER BY CASE WHEN d.urgent_at <= p_now THEN d.urgent_at END, 'trial' = ANY (d.groups), class_rank(d.class),
                calls_of(p_account, d.asker, NULL, p_span, p_now), d.since, d.function, d.subject
            LIMIT 1
        )
        UNION ALL (
            SELECT d FROM demand d
            WHERE d.class = 'operator' AND is_ready(d.ready_at, d.taken_until, p_now) AND NOT d.groups && p_barred
            ORDER BY d.since, d.function, d.subject LIMIT 1
        )
        UNION ALL (
            SELECT d FROM demand d
            WHERE d.class = 'refresh' AND d.function <> 'TIME_SERIES_DAILY' AND is_ready(d.ready_at, d.taken_until, p_now)
            ORDER BY d.since, d.function, d.subject LIMIT 1
        )
    ) AS either ORDER BY class_rank((request).class) LIMIT 1
$$;
