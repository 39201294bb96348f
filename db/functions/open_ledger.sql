-- An account's row of the ledger. A new account begins to look for what the lists lack. After the market's clock has gone back (the
-- database's clock was set, or MARKET_HOURS), ages that it gave mean nothing: all symbols are of one age.
CREATE OR REPLACE FUNCTION open_ledger(p_account text, p_source text, p_clock double precision, p_now timestamptz)
RETURNS ledgers LANGUAGE plpgsql AS $$
DECLARE
    book ledgers;
BEGIN
    INSERT INTO ledgers (account, clock) VALUES (p_account, p_clock) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM seek_firsts(p_source, p_now);
    END IF;
    SELECT * INTO book FROM ledgers WHERE account = p_account;
    IF book.clock > p_clock + 3600 THEN
        UPDATE symbols SET clock = 0 WHERE source = p_source AND level IS NOT NULL AND clock > p_clock;
    END IF;
    RETURN book;
END $$;
