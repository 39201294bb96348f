-- The rank of a class in the queue, the lowest first. The tables' checks reject unknown classes.
CREATE OR REPLACE FUNCTION class_rank(p_class text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_class WHEN 'user' THEN 0 WHEN 'stranger' THEN 1 WHEN 'operator' THEN 2 WHEN 'first' THEN 3 ELSE 4 END
$$;
