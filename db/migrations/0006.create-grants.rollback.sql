DROP FUNCTION IF EXISTS grant_call(
    text, text, integer[], interval[], interval, double precision,
    interval, double precision, double precision, interval, integer
);

DROP FUNCTION IF EXISTS background_candidates(text, timestamptz, double precision, double precision, interval);

DROP FUNCTION IF EXISTS is_ready(timestamptz, timestamptz, timestamptz);

DROP FUNCTION IF EXISTS decayed(double precision, timestamptz, timestamptz, interval);

DROP FUNCTION IF EXISTS join_line(text, text[], integer, interval, integer, text, integer, text);

DROP FUNCTION IF EXISTS lock_ledger();
