-- Whether anybody watches a symbol of a source.
CREATE OR REPLACE FUNCTION wants_more(p_source text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM symbols WHERE source = p_source AND level >= 0)
$$;
