-- One lock for the queue and the journal: whoever holds it sees all that was committed before. Take it in a statement of its own, for a
-- statement's snapshot is older than a lock that it waits for; so the callers are plpgsql functions, READ COMMITTED only. A grant that a
-- server's crash forgets would be a call too many: whatever the server's default, the commit waits for the disk.
CREATE OR REPLACE FUNCTION lock_ledger() RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the ledger needs READ COMMITTED, not %', current_setting('transaction_isolation');
    END IF;
    PERFORM set_config('synchronous_commit', 'on', true);
    PERFORM pg_advisory_xact_lock(730405);
    RETURN ledger_now();
END $$;
