-- What background calls for next: a retry after quarantine while trials are left; otherwise first quotes and refreshes alternate. p_turn:
-- whether a first quote may go before a due refresh. With a rule of a day, unwatched symbols come second while any symbol is watched: they
-- have a ceiling, and come last in the sweep after the close. Symbols with fruitless calls come after those without. While a probe is to
-- show whether the provider answers again, they rest for minutes only, whatever the rules: else nothing might be left to probe with.
CREATE OR REPLACE FUNCTION next_background(
    p_account text, p_source text, p_barred text[], p_turn boolean, p_span interval, p_now timestamptz,
    p_clock double precision, p_power double precision, p_half_life interval
) RETURNS choice LANGUAGE plpgsql AS $$
DECLARE
    pick choice := next_retry(p_account, p_source, p_barred, p_now);
    watched_only boolean := 'unwatched' = ANY (p_barred) AND wants_more(p_source);
    last boolean := p_span >= interval '1 day' AND p_power < 2;
    rest interval := CASE WHEN (SELECT probing FROM ledgers WHERE account = p_account) THEN interval '1 minute' ELSE p_span END;
    top text;
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
    IF last THEN
        SELECT c.symbol INTO top FROM background_candidates(
            p_account, p_source, true, true, p_now, p_clock, p_power, p_half_life, rest, false, 1
        ) AS c;
    END IF;
    IF top IS NULL THEN
        SELECT c.symbol INTO top FROM background_candidates(
            p_account, p_source, watched_only OR last, false, p_now, p_clock, p_power, p_half_life, rest, false, 1
        ) AS c;
    END IF;
    IF top IS NULL AND last AND NOT watched_only THEN
        SELECT c.symbol INTO top FROM background_candidates(
            p_account, p_source, false, false, p_now, p_clock, p_power, p_half_life, rest, false, 1
        ) AS c;
    END IF;
    IF top IS NOT NULL THEN
        RETURN ROW('GLOBAL_QUOTE', ARRAY[top], 'refresh', ARRAY(
            SELECT 'unwatched' FROM symbols WHERE symbol = top AND watchers = 0
        ), NULL, true)::choice;
    END IF;
    IF NOT p_turn THEN
        RETURN next_first(p_account, p_source, p_barred, p_span, p_now);
    END IF;
    RETURN NULL;
END $$;
