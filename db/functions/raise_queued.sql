-- Join requests that are queued already: each stays longer, and gets the better of the two classes. A request that moves up belongs to the
-- new requester from then on, but keeps its group `unlisted` or `trial`.
CREATE OR REPLACE FUNCTION raise_queued(
    p_function text, p_subjects text[], p_newcomers text[], p_class text, p_asker text, p_now timestamptz, p_stay interval,
    p_forced boolean
) RETURNS void LANGUAGE sql AS $$
    UPDATE demand SET
        expires = greatest(expires, p_now + p_stay),
        joined = joined OR asker IS DISTINCT FROM p_asker,
        since = CASE WHEN class_rank(p_class) < class_rank(class) THEN p_now ELSE since END,
        asker = CASE WHEN class_rank(p_class) < class_rank(class) THEN p_asker ELSE asker END,
        groups = CASE WHEN p_forced THEN '{}'
            WHEN class_rank(p_class) >= class_rank(class) THEN groups
            WHEN p_class = 'stranger' THEN '{waiting,stranger}'
            ELSE array_remove(CASE WHEN groups = '{}' THEN '{waiting}' ELSE groups END, 'stranger') END,
        class = CASE WHEN class_rank(p_class) < class_rank(class) THEN p_class ELSE class END
    WHERE function = p_function AND subject = ANY (p_subjects) AND subject <> ALL (p_newcomers)
$$;
