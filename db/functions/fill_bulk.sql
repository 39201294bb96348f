-- Fill a bulk call with more symbols: queued requests, then first quotes of watchlists for half of the room, then refreshes. They cost no
-- call of their own, so no ceiling applies. '[.:]': foreign and exchange-suffixed symbols are not in bulk quotes.
CREATE OR REPLACE FUNCTION fill_bulk(
    p_account text, p_source text, p_chosen text[], p_most integer, p_span interval, p_now timestamptz, p_clock double precision,
    p_power double precision, p_half_life interval
) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    filled text[];
BEGIN
    SELECT p_chosen || coalesce(array_agg(q.subject), '{}') INTO filled FROM (
        SELECT d.subject FROM demand d
        WHERE d.function = 'GLOBAL_QUOTE' AND d.subject <> ALL (p_chosen) AND d.subject !~ '[.:]'
            AND is_ready(d.ready_at, d.taken_until, p_now)
        ORDER BY class_rank(d.class), d.since LIMIT p_most - cardinality(p_chosen)
    ) AS q;
    SELECT filled || coalesce(array_agg(f.symbol), '{}') INTO filled FROM (
        SELECT i.symbol FROM (
            SELECT u.id FROM users u WHERE u.firsts_at <= p_now AND NOT u.asleep ORDER BY u.firsts_at LIMIT p_most
        ) AS waiting CROSS JOIN LATERAL (
            SELECT w.symbol FROM watchlist_items w WHERE w.user_id = waiting.id AND w.symbol !~ '[.:]' AND w.symbol <> ALL (filled)
                AND is_listed(p_source, w.symbol) AND is_lacking(p_account, p_source, w.symbol, p_now)
            ORDER BY w.added_at LIMIT 5
        ) AS i GROUP BY i.symbol ORDER BY i.symbol LIMIT greatest(0, (p_most - cardinality(filled)) / 2)
    ) AS f;
    SELECT filled || coalesce(array_agg(c.symbol ORDER BY c.rank DESC, c.symbol), '{}') INTO filled FROM background_candidates(
        p_account, p_source, false, false, p_now, p_clock, p_power, p_half_life, p_span, true, p_most
    ) AS c WHERE c.symbol <> ALL (filled);
    RETURN filled[:p_most];
END $$;
