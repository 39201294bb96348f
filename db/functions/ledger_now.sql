-- The ledger's clock. Tests replace this function; nothing else tells the ledger the time.
CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT clock_timestamp() $$;
