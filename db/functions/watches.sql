-- Whether a requester is an account that has a symbol on its list.
CREATE OR REPLACE FUNCTION watches(p_asker text, p_symbol text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM watchlist_items WHERE user_id = substring(p_asker FROM '^user:([0-9]{1,18})$')::bigint AND symbol = p_symbol
    )
$$;
