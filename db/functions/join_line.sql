-- Queue requests for subjects, in a class, on behalf of a requester. A subject that is queued already is joined: its class is raised, its
-- time there prolonged, and no second call is made.
-- Nothing is queued if p_bound requests of the class wait ('full'); if p_asker had p_fair other subjects within a minute, charts of what it
-- watches apart ('unfair'); if it asks for what it watches and has a tenth of the class's room ('watched': background asks in turn); if
-- what a reader of p_source waits for has come meanwhile ('known'); or if a stranger asks for a symbol that the listing lacks
-- ('unlisted'). 'held': it is queued, and no call is made until the account's hold has passed.
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
