-- Trigger: whatever deletes a user ends the logins, so that issued tokens stop within a second, and forgets where they came from. The rows
-- stay until no access token of theirs can be valid.
CREATE OR REPLACE FUNCTION end_logins_of_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE logins SET ended_at = coalesce(ended_at, clock_timestamp()), address = NULL, user_agent = NULL WHERE user_id = OLD.id;
    DELETE FROM tickets USING logins WHERE logins.id = login_id AND user_id = OLD.id;
    RETURN OLD;
END $$;
