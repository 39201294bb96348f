-- What background asks for next: a retry in quarantine while trials are left; else a first quote and a refresh in turn. With one of the
-- two alone, that one. p_turn: whether a first quote may go before a refresh that is due. Where a rule of a day binds, what nobody watches
-- stands back while somebody watches something: it has a ceiling, and in the sweep after the close it comes last.
CREATE OR REPLACE FUNCTION next_background(
    p_account text, p_source text, p_barred text[], p_turn boolean, p_span interval, p_now timestamptz,
    p_clock double precision, p_power double precision, p_half_life interval
) RETURNS choice LANGUAGE plpgsql AS $$
DECLARE
    pick choice := next_retry(p_account, p_source, p_barred, p_now);
    held boolean := 'unwatched' = ANY (p_barred) AND wants_more(p_source);
    last boolean := p_span >= interval '1 day' AND p_power < 2;
    top record;
BEGIN
    IF pick.subjects IS NOT NULL THEN
        RETURN pick;
    END IF;
    IF p_turn THEN
        pick := next_first(p_account, p_source, p_barred, p_span, p_now);
        IF pick.subjects IS NOT NULL THEN
            RETURN pick;
        END IF;
    END IF;
    SELECT c.symbol, s.watchers = 0 AS unwatched INTO top FROM background_candidates(
        p_account, p_source, held OR last, p_now, p_clock, p_power, p_half_life, p_span, false, 1
    ) AS c JOIN symbols s USING (symbol);
    IF top.symbol IS NULL AND last AND NOT held THEN
        SELECT c.symbol, true AS unwatched INTO top
        FROM background_candidates(p_account, p_source, false, p_now, p_clock, p_power, p_half_life, p_span, false, 1) AS c;
    END IF;
    IF top.symbol IS NOT NULL THEN
        RETURN ROW(
            'GLOBAL_QUOTE', ARRAY[top.symbol], 'refresh', CASE WHEN top.unwatched THEN '{unwatched}' ELSE '{}' END::text[], NULL, true
        )::choice;
    END IF;
    IF NOT p_turn THEN
        RETURN next_first(p_account, p_source, p_barred, p_span, p_now);
    END IF;
    RETURN NULL;
END $$;
