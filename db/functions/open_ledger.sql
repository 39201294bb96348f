-- An account's row of `ledgers`, inserted if it is new; then every watchlist that lacks a quote is looked at. If the market clock went back
-- (the database's clock was set back, or MARKET_HOURS changed), stored clocks lie in the future and their symbols would never be due: set
-- them to 0, so that all are due alike. Up to an hour (3600 s) is tolerated: then they are due again once the clock has caught up,
-- and their order survives.
CREATE OR REPLACE FUNCTION open_ledger(p_account text, p_source text, p_clock double precision, p_now timestamptz)
RETURNS ledgers LANGUAGE plpgsql AS $$
DECLARE
    ledger ledgers;
BEGIN
    INSERT INTO ledgers (account, clock) VALUES (p_account, p_clock) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM seek_firsts(p_source, p_now);
    END IF;
    SELECT * INTO ledger FROM ledgers WHERE account = p_account;
    IF ledger.clock > p_clock + 3600 THEN
        UPDATE symbols SET clock = 0 WHERE source = p_source AND level IS NOT NULL AND clock > p_clock;
    END IF;
    RETURN ledger;
END $$;
