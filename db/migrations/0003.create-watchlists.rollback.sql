DROP FUNCTION IF EXISTS add_to_watchlist(bigint, text, integer);

DROP TABLE IF EXISTS watchlist_items;

DROP FUNCTION IF EXISTS count_watchers();
