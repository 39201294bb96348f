-- Whether a symbol is known to exist: it is in the provider's listing, it has a quote of this source, or it is pinned.
CREATE OR REPLACE FUNCTION is_listed(p_source text, p_symbol text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM listings WHERE source = p_source AND symbol = p_symbol)
        OR EXISTS (SELECT FROM symbols WHERE symbol = p_symbol AND (source = p_source OR pinned))
$$;
