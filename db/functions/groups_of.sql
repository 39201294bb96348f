-- The groups whose ceilings a request counts for. `waiting`: a client waits for it, or an operator ordered it; `trial`: the call is likely
-- to be wasted; `unlisted`: the listing lacks the symbol, and the user has credit for it. Null: no call is made, for a stranger's unlisted
-- symbol; it is a trial while there is no listing yet.
CREATE OR REPLACE FUNCTION groups_of(
    p_account text, p_function text, p_subject text, p_class text, p_asker text, p_source text, p_now timestamptz
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    own text[] := CASE p_class WHEN 'stranger' THEN '{waiting,stranger}'::text[] ELSE '{waiting}' END;
BEGIN
    IF p_class NOT IN ('user', 'stranger') OR p_asker IS NULL THEN
        RETURN own;
    END IF;
    IF p_function = 'SYMBOL_SEARCH' THEN
        RETURN CASE p_class WHEN 'stranger' THEN own || '{trial}'::text[] ELSE own END;
    END IF;
    IF is_listed(p_source, p_subject) THEN
        RETURN own;
    END IF;
    IF p_class = 'stranger' THEN
        RETURN CASE WHEN NOT EXISTS (SELECT FROM listing_state WHERE source = p_source) THEN own || '{trial}'::text[] END;
    END IF;
    RETURN own || CASE WHEN use_credit(p_account, p_asker, p_subject, p_now) THEN '{unlisted}'::text[] ELSE '{trial}' END;
END $$;
