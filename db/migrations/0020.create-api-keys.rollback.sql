DROP TRIGGER IF EXISTS users_end_keys ON users;

DROP FUNCTION IF EXISTS end_keys_of_deleted();

DROP TABLE IF EXISTS api_keys;
