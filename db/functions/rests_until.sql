-- Until when background leaves a symbol alone whose last calls (p_tries, the last of them at p_at) did not bring what they were made for:
-- 15 seconds, doubling to 15 minutes; where a rule of a day binds, an hour, doubling to a day.
CREATE OR REPLACE FUNCTION rests_until(p_at timestamptz, p_tries integer, p_span interval) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT p_at + CASE WHEN p_span >= interval '1 day' THEN least(interval '1 hour' * power(2, p_tries - 1), interval '1 day')
        ELSE least(interval '15 seconds' * power(2, p_tries - 1), interval '15 minutes') END
$$;
