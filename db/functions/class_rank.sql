-- Which class is served first among queued requests. The tables' checks refuse an unknown class.
CREATE OR REPLACE FUNCTION class_rank(p_class text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_class WHEN 'user' THEN 0 WHEN 'stranger' THEN 1 WHEN 'operator' THEN 2 WHEN 'first' THEN 3 ELSE 4 END
$$;
