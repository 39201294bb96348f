-- A symbol's weight: its watchers plus its decayed reads, at least 1; for a symbol that is only pinned, half a watcher. Null: not tracked.
-- Reads of 0.5 and more count: a symbol that was read once stays tracked for one half-life. The column symbols.level has the same rule on a
-- log scale, with unwatched symbols a thousand below watched ones; change both together.
CREATE OR REPLACE FUNCTION weight_of(p_watchers integer, p_pinned boolean, p_reads double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_watchers > 0 OR p_reads >= 0.5 THEN greatest(1, p_watchers + p_reads) WHEN p_pinned THEN 0.5 END
$$;
