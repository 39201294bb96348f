DROP TRIGGER IF EXISTS users_forget_addresses ON users;

DROP FUNCTION IF EXISTS forget_addresses();

DROP TABLE IF EXISTS audit;
