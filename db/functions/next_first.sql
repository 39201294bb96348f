-- The next first quote for background: of the requester with the fewest calls in p_span, then of the one that has waited longest.
-- Requesters are users whose watchlist lacks a quote, and the pins ('pins', candidate 0). Users without calls are found by an index; users
-- with calls are at most as many as the calls in p_span. A user whose symbols must all wait is looked at again when the first may go.
CREATE OR REPLACE FUNCTION next_first(p_account text, p_source text, p_barred text[], p_span interval, p_now timestamptz)
RETURNS choice LANGUAGE plpgsql AS $$
DECLARE
    pick choice;
    served jsonb;
    candidate bigint;
BEGIN
    IF 'first' = ANY (p_barred) THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(jsonb_object_agg(asker, n), '{}') INTO served FROM (
        SELECT asker, count(*) AS n FROM calls
        WHERE account = p_account AND asker IS NOT NULL AND granted_at > p_now - p_span AND outcome IS DISTINCT FROM 'unsent'
        GROUP BY asker
    ) AS askers;
    FOR candidate IN
        (
            SELECT id FROM (
                (SELECT u.id, 0 AS used, u.firsts_at FROM users u
                WHERE u.firsts_at <= p_now AND NOT u.asleep AND NOT served ? ('user:' || u.id) ORDER BY u.firsts_at, u.id LIMIT 4)
                UNION ALL (SELECT u.id, (s.value)::integer, u.firsts_at
                FROM jsonb_each_text(served) AS s JOIN users u ON u.id = substring(s.key FROM '^user:([0-9]{1,18})$')::bigint
                WHERE u.firsts_at <= p_now AND NOT u.asleep ORDER BY 2, u.firsts_at LIMIT 4)
                UNION ALL SELECT 0, coalesce((served ->> 'pins')::integer, 0), 'infinity'
            ) AS askers ORDER BY used, firsts_at, id
        )
    LOOP
        IF candidate = 0 THEN
            SELECT 'GLOBAL_QUOTE', ARRAY[s.symbol], 'first', CASE WHEN s.watchers = 0 THEN '{first,unwatched}' ELSE '{first}' END::text[],
                'pins', true
            INTO pick FROM symbols s
            WHERE s.pinned AND is_lacking(p_account, p_source, s.symbol, p_now) AND NOT (s.watchers = 0 AND 'unwatched' = ANY (p_barred))
            ORDER BY s.level DESC, s.symbol LIMIT 1;
        ELSE
            SELECT 'GLOBAL_QUOTE', ARRAY[f.symbol], 'first', f.groups, 'user:' || candidate, true
            INTO pick FROM first_of(p_account, p_source, candidate, p_barred, p_now) AS f;
        END IF;
        IF pick.subjects IS NOT NULL THEN
            RETURN pick;
        ELSIF candidate > 0 THEN
            UPDATE users SET firsts_at = next_lacking_at(p_account, p_source, candidate, p_now)
            WHERE id = (SELECT id FROM users WHERE id = candidate FOR NO KEY UPDATE SKIP LOCKED);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
