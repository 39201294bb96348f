-- Trigger: before a user is deleted, delete what no foreign key deletes: the name as a requester, and the secrets of the logins.
-- So is mail that was not sent yet, to whatever name of the user was typed. A row of an API key stays until every process knows that it ended.
-- The calls were made and still count, but for nobody. A queued request stays if it is under way or somebody else asked for it, too. The
-- audit keeps what happened and the user's number, but neither address nor request.
-- Callers lock the ledger first: whoever changes the queue holds that lock before rows of users or symbols.
CREATE OR REPLACE FUNCTION forget_user() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    requester text := 'user:' || OLD.id;
BEGIN
    DELETE FROM demand WHERE asker = requester AND NOT joined AND coalesce(taken_until <= ledger_now(), true);
    UPDATE demand SET asker = NULL WHERE asker = requester;
    DELETE FROM credits WHERE asker = requester;
    UPDATE calls SET asker = NULL WHERE asker = requester;
    UPDATE refresh_jobs SET queued_by = 'deleted', request_id = NULL WHERE queued_by = requester;
    UPDATE audit SET request_id = NULL WHERE user_id = OLD.id AND request_id IS NOT NULL;
    DELETE FROM tickets USING logins WHERE login_id = logins.id AND user_id = OLD.id;
    DELETE FROM outbox WHERE lower(content->>'name') IN (lower(OLD.username), lower(OLD.email));
    UPDATE api_keys SET name = '', prefix = '' WHERE user_id = OLD.id;
    DELETE FROM refresh_tokens USING logins WHERE login_id = logins.id AND user_id = OLD.id;
    RETURN OLD;
END $$;
