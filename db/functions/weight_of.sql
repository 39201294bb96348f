-- The weight of a symbol by the people who want it: those who watch it and those who read it lately, at least 1. A symbol that is pinned
-- and that nobody wants weighs half a watcher. Null: it is not wanted. The column symbols.level holds the same rule on a log
-- scale, what nobody watches a thousand below what somebody does.
CREATE OR REPLACE FUNCTION weight_of(p_watchers integer, p_pinned boolean, p_reads double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_watchers > 0 OR p_reads >= 0.5 THEN greatest(1, p_watchers + p_reads) WHEN p_pinned THEN 0.5 END
$$;
