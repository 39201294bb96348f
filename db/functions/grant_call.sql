-- Grant one call and say what for, or how long to wait before asking again. One row. p_calls in p_periods: the provider's rules. p_most in
-- p_windows: the ceilings of p_groups. p_each: by class, the most calls of one requester in the longest period. Background: one call every
-- p_gap, symbols by weight * age**p_power at p_clock (see background_candidates). The lock comes first, and every read after it.
-- Only a call that background chose (pick.background) moves background_at. A queued request of class 'refresh', such as the listing or a
-- probe, does not: it would delay background's own pace.
CREATE OR REPLACE FUNCTION grant_call(
    p_account text, p_source text, p_caller text, p_calls integer[], p_periods interval[], p_lease interval,
    p_groups text[], p_most integer[], p_windows interval[], p_each jsonb,
    p_gap interval, p_clock double precision, p_power double precision, p_half_life interval, p_bulk integer
) RETURNS TABLE (
    call bigint, function text, subjects text[], class text, granted_at timestamptz, asked_at timestamptz, wait interval, reason text
) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    t timestamptz := lock_ledger();
    ledger ledgers := open_ledger(p_account, p_source, p_clock, t);
    free_at timestamptz := slot_free_at(p_account, p_calls, p_periods);
    -- Up to a second of delay is caught up, so that jitter does not add up. More would use two slots at once, and leave a gap in every later
    -- period. A background_at in the future is from before a step back of the clock, and is ignored.
    due timestamptz := greatest(
        CASE WHEN ledger.background_at <= t THEN ledger.background_at END + p_gap, t - least(p_gap, interval '1 second')
    );
    barred text[];
    firm text[];
    free timestamptz[];
    pick choice;
BEGIN
    asked_at := t;
    IF ledger.held_until > t THEN
        wait := ledger.held_until - t;
        reason := ledger.held_for;
        RETURN NEXT;
        RETURN;
    ELSIF free_at > t THEN
        wait := free_at - t;
        reason := 'limit';
        RETURN NEXT;
        RETURN;
    END IF;
    DELETE FROM demand d WHERE d.expires <= t AND coalesce(d.taken_until <= t, true);
    SELECT coalesce(array_agg(f.name), '{}'), coalesce(array_agg(f.name) FILTER (WHERE f.firm), '{}'), array_agg(f.free_at)
    INTO barred, firm, free FROM full_groups(p_account, p_groups, p_most, p_windows, t) AS f;
    pick := choose_call(
        p_account, p_source, p_calls, p_periods, barred, firm, p_each, ledger.last_background IS DISTINCT FROM 'first',
        due, p_gap, p_clock, p_power, p_half_life, t
    );
    pick := chart_turn(p_account, pick, firm, due, p_power, t);
    IF pick.subjects IS NULL THEN
        wait := next_change(due, free, t);
        reason := 'idle';
        RETURN NEXT;
        RETURN;
    END IF;
    IF p_bulk > 1 AND coalesce(ledger.bulk_denied_until <= t, true) AND pick.function = 'GLOBAL_QUOTE'
        AND NOT 'trial' = ANY (pick.groups) AND pick.subjects[1] !~ '[.:]' THEN
        pick.subjects := fill_bulk(
            p_account, p_source, pick.subjects, p_bulk, (SELECT max(period) FROM unnest(p_periods) AS period), t, p_clock, p_power,
            p_half_life
        );
    END IF;
    -- A probe is likely to be wasted, so it counts as a trial. Its hold is extended by the lease: nothing else goes until its outcome.
    IF ledger.probing AND NOT 'trial' = ANY (pick.groups) THEN
        pick.groups := pick.groups || '{trial}'::text[];
    END IF;
    SELECT m.id, m.function, m.subjects, m.class, m.granted_at, 'granted' INTO call, function, subjects, class, granted_at, reason
    FROM record_call(p_account, p_source, p_caller, pick, p_lease, t) AS m;
    UPDATE ledgers l SET
        held_until = CASE WHEN ledger.probing THEN t + p_lease END,
        held_for = CASE WHEN ledger.probing THEN ledger.held_for END,
        background_at = CASE WHEN pick.background THEN due ELSE l.background_at END,
        last_background = CASE WHEN pick.background THEN pick.class ELSE l.last_background END,
        clock = p_clock
    WHERE l.account = p_account;
    RETURN NEXT;
END $$;
