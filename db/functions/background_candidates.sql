-- The symbols with a quote that background may refresh now, the highest weight * age**p_power first. Symbols of about one weight share a
-- level; among them the oldest leads, so that one row a level decides (a step of 1.5 costs 0.3 %). p_watched: only what somebody watches.
-- p_clock is the market's clock that an answer of now would be of; power 0 leaves none. A symbol whose last calls brought nothing, or not
-- the close that is out, rests in between (see rests_until); its age is that of the answer before.
CREATE OR REPLACE FUNCTION background_candidates(
    p_account text, p_source text, p_watched boolean, p_now timestamptz, p_clock double precision, p_power double precision,
    p_half_life interval, p_span interval, p_bulk boolean, p_most integer
) RETURNS TABLE (symbol text, rank double precision) LANGUAGE sql STABLE AS $$
    SELECT oldest.symbol, oldest.rank
    FROM (
        SELECT generate_series(0, (
            SELECT s.level FROM symbols s WHERE s.source = p_source AND s.level >= 0 ORDER BY s.level DESC LIMIT 1
        ))
        UNION ALL SELECT generate_series(-1002, (
            SELECT s.level FROM symbols s WHERE s.source = p_source AND s.level < 0 ORDER BY s.level DESC LIMIT 1
        )) WHERE NOT p_watched
    ) AS levels (level)
    CROSS JOIN LATERAL (
        SELECT s.symbol, weight_of(s.watchers, s.pinned, decayed(s.reads, s.reads_at, p_now, p_half_life))
            * CASE p_power WHEN 2 THEN (p_clock - s.clock) * (p_clock - s.clock) ELSE power(p_clock - s.clock, p_power) END AS rank
        FROM symbols s
        WHERE p_power > 0 AND s.source = p_source AND s.level = levels.level AND s.clock < p_clock
            AND weight_of(s.watchers, s.pinned, decayed(s.reads, s.reads_at, p_now, p_half_life)) IS NOT NULL
            AND NOT (p_bulk AND s.symbol ~ '[.:]')
            AND NOT EXISTS (
                SELECT FROM attempts a WHERE a.account = p_account AND a.symbol = s.symbol
                    AND (a.failures > 0 OR p_now < rests_until(a.at, a.tries, p_span))
            )
            AND NOT EXISTS (
                SELECT FROM demand d WHERE d.function = 'GLOBAL_QUOTE' AND d.subject = s.symbol AND NOT is_ready(NULL, d.taken_until, p_now)
            )
        ORDER BY s.clock LIMIT p_most
    ) AS oldest
    ORDER BY oldest.rank DESC, oldest.symbol LIMIT p_most
$$;
