-- The next symbol of a user's watchlist that lacks a quote, in the order of adding, with the groups that its call counts for. An unlisted
-- symbol beyond the user's credit is a trial. No row: nothing is missing, or what is missing must wait.
CREATE OR REPLACE FUNCTION first_of(
    p_account text, p_source text, p_user bigint, p_barred text[], p_now timestamptz
) RETURNS TABLE (symbol text, groups text[]) LANGUAGE plpgsql AS $$
DECLARE
    lacking record;
BEGIN
    FOR lacking IN
        SELECT i.symbol, is_listed(p_source, i.symbol) AS listed FROM watchlist_items i JOIN symbols s ON s.symbol = i.symbol
        WHERE i.user_id = p_user AND s.source IS DISTINCT FROM p_source AND is_lacking(p_account, p_source, i.symbol, p_now)
            AND NOT (p_barred @> '{trial,unlisted}' AND NOT is_listed(p_source, i.symbol))
        ORDER BY i.added_at, i.symbol
    LOOP
        groups := CASE WHEN lacking.listed THEN '{first}'::text[]
            WHEN use_credit(p_account, 'user:' || p_user, lacking.symbol, p_now) THEN '{first,unlisted}'::text[]
            ELSE '{first,trial}'::text[] END;
        IF NOT groups && p_barred THEN
            symbol := lacking.symbol;
            RETURN NEXT;
            RETURN;
        ELSIF 'trial' = ANY (groups) THEN
            p_barred := p_barred || '{unlisted}'::text[];  -- no credit is left, so only listed symbols may go
        END IF;
    END LOOP;
END $$;
