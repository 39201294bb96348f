-- Enqueue requests for subjects, in a class, for a requester. A subject that is queued already is joined: its class is raised, its time in
-- the queue extended, and no second call is made.
-- Nothing is queued if p_bound requests of the class wait ('full'); if p_asker asked for p_fair other subjects within a minute, not
-- counting charts of symbols it watches ('unfair'); if it watches the symbol and has a tenth of the class's room ('watched': background
-- fetches it in turn); if the quote was saved in the meantime ('known'); or if a stranger asks for an unlisted symbol ('unlisted').
-- 'held': it is queued, but no call is made until the account's hold ends.
-- 'known' closes the race of the single flight. A reader looks for a quote, finds none, and then waits for this lock. If another process's
-- call for the quote is settled in between, its row in `demand` is gone, and the reader would queue a second call. So look again, after
-- the lock is taken: settlements hold the same lock.
CREATE OR REPLACE FUNCTION join_line(
    p_account text, p_function text, p_subjects text[], p_class text, p_asker text, p_source text, p_stay interval,
    p_forced boolean, p_bound integer, p_fair integer
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz := lock_ledger();
    newcomers text[];
    watched boolean;
    lately bigint;
    allowed bigint;
BEGIN
    DELETE FROM demand WHERE expires <= t AND coalesce(taken_until <= t, true);
    SELECT coalesce(array_agg(wanted), '{}') INTO newcomers FROM unnest(p_subjects) AS wanted
    WHERE NOT EXISTS (SELECT FROM demand d WHERE d.function = p_function AND d.subject = wanted);
    IF p_class IN ('user', 'stranger') AND cardinality(newcomers) > 0 THEN
        IF p_function = 'GLOBAL_QUOTE' AND EXISTS (SELECT FROM quotes WHERE symbol = ANY (newcomers) AND source = p_source) THEN
            RETURN 'known';
        END IF;
        IF cardinality(newcomers) + (SELECT count(*) FROM demand WHERE class = p_class) > p_bound THEN
            RETURN 'full';
        END IF;
        watched := watches(p_asker, newcomers[1]);
        lately := CASE WHEN watched THEN (SELECT count(*) FROM demand WHERE asker = p_asker)
            ELSE asked_lately(p_asker, p_class, newcomers, t) END;
        allowed := CASE WHEN watched THEN greatest(p_fair, p_bound / 10) ELSE p_fair END;
        IF p_asker IS NOT NULL AND cardinality(newcomers) + lately > allowed THEN
            RETURN CASE WHEN watched THEN 'watched' ELSE 'unfair' END;
        END IF;
    END IF;
    INSERT INTO demand (function, subject, class, groups, asker, since, expires)
    SELECT p_function, wanted.subject, p_class, wanted.groups, p_asker, t, t + p_stay
    FROM (
        SELECT subject, CASE WHEN p_forced OR p_class = 'refresh' THEN '{}'
            ELSE groups_of(p_account, p_function, subject, p_class, p_asker, p_source, t) END AS groups
        FROM unnest(newcomers) AS subject
    ) AS wanted WHERE wanted.groups IS NOT NULL;
    IF p_class = 'stranger' AND cardinality(newcomers) > 0
        AND NOT EXISTS (SELECT FROM demand WHERE function = p_function AND subject = ANY (newcomers)) THEN
        RETURN 'unlisted';
    END IF;
    PERFORM raise_queued(p_function, p_subjects, newcomers, p_class, p_asker, t, p_stay, p_forced);
    RETURN CASE WHEN EXISTS (SELECT FROM ledgers WHERE account = p_account AND held_until > t) THEN 'held' ELSE 'joined' END;
END $$;
