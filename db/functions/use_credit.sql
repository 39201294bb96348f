-- Whether a user may request this unlisted symbol: five such symbols a day, none of them in quarantine. If the symbol exists, its
-- settlement returns the credit; otherwise the credit is used up for a day.
CREATE OR REPLACE FUNCTION use_credit(p_account text, p_asker text, p_symbol text, p_now timestamptz)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM attempts WHERE account = p_account AND symbol = p_symbol AND failures > 0) THEN
        RETURN false;
    END IF;
    DELETE FROM credits WHERE asker = p_asker AND used_at <= p_now - interval '1 day';
    IF EXISTS (SELECT FROM credits WHERE asker = p_asker AND symbol = p_symbol) THEN
        RETURN true;
    END IF;
    INSERT INTO credits (asker, symbol, used_at)
    SELECT p_asker, p_symbol, p_now WHERE (SELECT count(*) FROM credits WHERE asker = p_asker) < 5;
    RETURN FOUND;
END $$;
