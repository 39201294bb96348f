-- Trigger: whatever deletes an account ends its API keys and forgets their names. The rows stay for as long as processes may know the keys.
CREATE OR REPLACE FUNCTION end_keys_of_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE api_keys SET ended_at = coalesce(ended_at, clock_timestamp()), name = '' WHERE user_id = OLD.id;
    RETURN OLD;
END $$;
