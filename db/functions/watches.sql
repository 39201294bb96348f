-- Whether a requester is a user who has the symbol on the watchlist.
CREATE OR REPLACE FUNCTION watches(p_asker text, p_symbol text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM watchlist_items WHERE user_id = substring(p_asker FROM '^user:([0-9]{1,18})$')::bigint AND symbol = p_symbol
    )
$$;
