DROP TRIGGER IF EXISTS users_end_logins ON users;

DROP FUNCTION IF EXISTS end_logins_of_deleted();

DROP TABLE IF EXISTS tickets;

DROP TABLE IF EXISTS refresh_tokens;

DROP TABLE IF EXISTS logins;

ALTER TABLE users DROP COLUMN IF EXISTS locked_at;
