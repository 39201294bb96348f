-- How many calls a requester had within p_span, of one class or (null) of all.
CREATE OR REPLACE FUNCTION calls_of(p_account text, p_asker text, p_class text, p_span interval, p_now timestamptz)
RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM calls
    WHERE asker = p_asker AND granted_at > p_now - p_span AND account = p_account AND outcome IS DISTINCT FROM 'unsent'
        AND (p_class IS NULL OR class = p_class)
$$;
