-- How many subjects other than p_beside a requester asked for within a minute. Charts of watched symbols do not count.
CREATE OR REPLACE FUNCTION asked_lately(p_asker text, p_class text, p_beside text[], p_now timestamptz)
RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(DISTINCT recent.subject) FROM (
        SELECT function, subject FROM demand WHERE asker = p_asker AND since > p_now - interval '1 minute'
        UNION ALL SELECT function, subjects[1] FROM calls
        WHERE asker = p_asker AND class = p_class AND granted_at > p_now - interval '1 minute'
    ) AS recent
    WHERE recent.subject <> ALL (p_beside) AND NOT (recent.function = 'TIME_SERIES_DAILY' AND watches(p_asker, recent.subject))
$$;
