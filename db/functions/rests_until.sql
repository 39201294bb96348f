-- Until when background rests a symbol whose last p_tries calls, the last at p_at, were fruitless: 15 seconds, doubling to 15 minutes; with
-- a rule of a day an hour, doubling to a day.
CREATE OR REPLACE FUNCTION rests_until(p_at timestamptz, p_tries integer, p_span interval) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT p_at + CASE WHEN p_span >= interval '1 day' THEN least(interval '1 hour' * power(2, p_tries - 1), interval '1 day')
        ELSE least(interval '15 seconds' * power(2, p_tries - 1), interval '15 minutes') END
$$;
