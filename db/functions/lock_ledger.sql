-- Take the one lock of the queue and the ledger, until the transaction ends; return the ledger's time. Its holder sees all that was
-- committed before. Take it in a statement of its own: a statement's snapshot is older than a lock that it waits for. So the callers are
-- plpgsql functions, and READ COMMITTED is required. The commit waits for the disk whatever the server's default: a grant lost in a crash
-- would allow one call too many. 730405 is an arbitrary number in the database's space of advisory locks; db/migrate.py has another.
CREATE OR REPLACE FUNCTION lock_ledger() RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the ledger needs READ COMMITTED, not %', current_setting('transaction_isolation');
    END IF;
    PERFORM set_config('synchronous_commit', 'on', true);
    PERFORM pg_advisory_xact_lock(730405);
    RETURN ledger_now();
END $$;
