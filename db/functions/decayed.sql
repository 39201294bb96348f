-- Reads that weighed p_reads at p_at, decayed to p_now. All in float8: extract() returns numeric, which is ten times slower.
CREATE OR REPLACE FUNCTION decayed(p_reads double precision, p_at timestamptz, p_now timestamptz, p_half_life interval)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_at IS NULL OR p_reads = 0 THEN 0
        ELSE p_reads * exp(-0.6931471805599453::float8 / date_part('epoch', p_half_life) * date_part('epoch', p_now - p_at))
    END
$$;
