-- A pace from before a step back of the clock means nothing: `due` would stay a gap ahead of any t until that time came again, and
-- background rest so long. grant_call is that of 0006 but for this one expression.
DO $$
DECLARE
    present text := pg_get_functiondef('grant_call'::regproc);
    mended text := replace(
        present,
        'least(book.background_at, t) + p_gap',
        'CASE WHEN book.background_at <= t THEN book.background_at END + p_gap'
    );
BEGIN
    IF mended = present AND position('CASE WHEN book.background_at <= t' IN present) = 0 THEN
        RAISE EXCEPTION 'grant_call is not that of 0006';
    END IF;
    EXECUTE mended;
END $$;
