-- The symbols with a quote that background may refresh now, the highest weight * age**p_power first. Symbols of similar weight share a
-- level, and the oldest of a level comes first, so it is enough to read the first p_most rows of each level by index (levels are 1.5 apart,
-- which costs 0.3 % of the mean age). p_watched: only watched symbols; p_untried: only symbols without fruitless calls. p_clock: the market
-- clock of an answer fetched now. p_power 0: none. A symbol whose last calls brought nothing, or not the published close, rests in between
-- (see rests_until). '[.:]': foreign and exchange-suffixed symbols (TSCO.LON, GAB-P-G:BAT) are not in bulk quotes.
-- The usual power of 2 is a multiplication: power() takes a third longer, for every candidate row, under the ledger's lock.
CREATE OR REPLACE FUNCTION background_candidates(
    p_account text, p_source text, p_watched boolean, p_untried boolean, p_now timestamptz, p_clock double precision, p_power double precision,
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
                    AND (a.failures > 0 OR p_untried OR p_now < rests_until(a.at, a.tries, p_span))
            )
            AND NOT EXISTS (
                SELECT FROM demand d WHERE d.function = 'GLOBAL_QUOTE' AND d.subject = s.symbol AND NOT is_ready(NULL, d.taken_until, p_now)
            )
        ORDER BY s.clock LIMIT p_most
    ) AS oldest
    ORDER BY oldest.rank DESC, oldest.symbol LIMIT p_most
$$;
