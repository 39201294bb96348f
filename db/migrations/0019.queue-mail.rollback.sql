DROP TABLE IF EXISTS password_resets;

DROP TABLE IF EXISTS outbox;
