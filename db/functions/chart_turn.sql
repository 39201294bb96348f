-- Let a chart's refresh take background's call, if it may; otherwise return p_pick, the choice without charts. Quotes come first: a chart
-- takes a due call that no quote wants. But in a session (p_power 2) quotes want every call, so there a chart that lacks a closed day gets
-- every tenth call.
CREATE OR REPLACE FUNCTION chart_turn(
    p_account text, p_pick choice, p_firm text[], p_due timestamptz, p_power double precision, p_now timestamptz
) RETURNS choice LANGUAGE plpgsql STABLE AS $$
DECLARE
    idle boolean := p_pick.subjects IS NULL;
    queued demand;
BEGIN
    IF p_due > p_now OR NOT (idle OR (p_pick.background AND p_pick.class = 'refresh' AND p_power = 2)) THEN
        RETURN p_pick;
    END IF;
    SELECT d.* INTO queued FROM demand d
    WHERE d.function = 'TIME_SERIES_DAILY' AND d.class = 'refresh' AND is_ready(d.ready_at, d.taken_until, p_now)
        AND NOT d.groups && p_firm AND (idle OR 'closed_day' = ANY (d.groups))
    ORDER BY 'closed_day' = ANY (d.groups) DESC, d.since, d.subject LIMIT 1;
    IF queued.subject IS NULL OR NOT idle AND EXISTS (
        SELECT FROM (
            SELECT c.function FROM calls c WHERE c.account = p_account AND c.class = 'refresh' AND c.granted_at > p_now - interval '1 hour'
            ORDER BY c.granted_at DESC LIMIT 9
        ) AS latest WHERE latest.function = 'TIME_SERIES_DAILY'
    ) THEN
        RETURN p_pick;
    END IF;
    RETURN ROW(queued.function, ARRAY[queued.subject], 'refresh', array_remove(queued.groups, 'closed_day'), NULL, true)::choice;
END $$;
