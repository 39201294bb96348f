-- Whether a queued request may be taken: it neither backs off nor is under way. Both times are set less than a minute ahead; one further
-- ahead is from before a step back of the clock, and is ignored.
CREATE OR REPLACE FUNCTION is_ready(p_ready_at timestamptz, p_taken_until timestamptz, p_now timestamptz)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT NOT coalesce(p_ready_at > p_now AND p_ready_at < p_now + interval '1 minute', false)
        AND NOT coalesce(p_taken_until > p_now AND p_taken_until < p_now + interval '1 minute', false)
$$;
