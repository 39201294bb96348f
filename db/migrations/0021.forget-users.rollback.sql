DROP TRIGGER IF EXISTS users_forget ON users;
DROP FUNCTION IF EXISTS forget_user();
DROP INDEX IF EXISTS audit_actor, audit_known;
ALTER TABLE demand DROP COLUMN IF EXISTS joined;
