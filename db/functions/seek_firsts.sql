-- Mark every watchlist that lacks a quote of this source to be looked at from p_now on.
CREATE OR REPLACE FUNCTION seek_firsts(p_source text, p_now timestamptz) RETURNS void LANGUAGE sql AS $$
    UPDATE users SET firsts_at = p_now WHERE firsts_at IS NULL AND EXISTS (
        SELECT FROM watchlist_items i JOIN symbols s USING (symbol) WHERE i.user_id = users.id AND s.source IS DISTINCT FROM p_source
    )
$$;
