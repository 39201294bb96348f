-- Whether any symbol with a quote of this source is watched.
CREATE OR REPLACE FUNCTION wants_more(p_source text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM symbols WHERE source = p_source AND level >= 0)
$$;
