DO $$
BEGIN
    EXECUTE replace(
        pg_get_functiondef('grant_call'::regproc),
        'CASE WHEN book.background_at <= t THEN book.background_at END + p_gap',
        'least(book.background_at, t) + p_gap'
    );
END $$;
