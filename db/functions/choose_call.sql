-- What the next call is for: a queued request below its ceilings; otherwise background, if due; otherwise a request that only a ceiling
-- under a day holds back, if no other request wants the slot. p_due: when background's next call is due; null if it has no pace.
CREATE OR REPLACE FUNCTION choose_call(
    p_account text, p_source text, p_calls integer[], p_periods interval[], p_barred text[], p_firm text[], p_each jsonb, p_turn boolean,
    p_due timestamptz, p_gap interval, p_clock double precision, p_power double precision, p_half_life interval, p_now timestamptz
) RETURNS choice LANGUAGE plpgsql AS $$
DECLARE
    span interval := (SELECT max(period) FROM unnest(p_periods) AS period);
    queued demand := next_queued(p_account, p_barred, span, p_each, p_now);
    pick choice;
    has_background boolean := false;
BEGIN
    IF queued.subject IS NULL AND p_due IS NOT NULL THEN
        pick := next_background(p_account, p_source, p_barred, p_turn, span, p_now, p_clock, p_power, p_half_life);
        has_background := pick.subjects IS NOT NULL;
        IF has_background AND p_due <= p_now THEN
            RETURN pick;
        END IF;
    END IF;
    IF queued.subject IS NULL AND (NOT has_background OR spares_slot(p_account, p_calls, p_periods, p_gap, p_now)) THEN
        queued := next_queued(p_account, p_firm, span, p_each, p_now);
        IF queued.subject IS NULL AND p_due <= p_now AND p_barred <> p_firm THEN
            RETURN next_background(p_account, p_source, p_firm, p_turn, span, p_now, p_clock, p_power, p_half_life);
        END IF;
    END IF;
    IF queued.subject IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN ROW(queued.function, ARRAY[queued.subject], queued.class, queued.groups, queued.asker, false)::choice;
END $$;
