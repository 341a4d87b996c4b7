-- The statements of pub/sub.

-- name: publish
-- args: exchange, kind, routing_key, ends, payload. Ids grow in the order of the commits.
INSERT INTO posts (exchange, kind, routing_key, ends, payload) VALUES (?, ?, ?, ?, ?);

-- name: prune
-- args: now. Removes what has ended among the oldest 1000, by id, without an index.
DELETE FROM posts WHERE ends <= ? AND id < (SELECT min(id) FROM posts) + 1000;

-- name: newest
-- result: the id of the newest post that ever was.
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'posts';

-- name: read
-- args: the id after which to read, limit. result: posts in the order they were published.
SELECT id, exchange, kind, routing_key, payload FROM posts WHERE id > ? ORDER BY id LIMIT ?;
