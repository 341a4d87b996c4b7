-- The statements of dead letters. Those that write run inside BEGIN IMMEDIATE ... COMMIT, so a call is done whole or
-- not at all, and no other writer comes between its statements.

-- name: queues
-- result: the names of queues that have dead letters, sorted; reads the index alone.
SELECT DISTINCT queue FROM dead_letters ORDER BY queue;

-- name: page
-- args: queue, id below which to read, limit. result: the letters, the newest first.
SELECT id, queue, died, reason, redelivered, payload FROM dead_letters
WHERE queue = ? AND id < ? ORDER BY id DESC LIMIT ?;

-- name: fetch
-- args: id. result: the letter, if it is there.
SELECT id, queue, died, reason, redelivered, payload FROM dead_letters WHERE id = ?;

-- name: revive
-- args: ready since, id. The message becomes ready under a new id, so it is at the end of the line; `remove` removes the
-- letter after, in the same transaction. One row is written if the letter is there, else none.
INSERT INTO messages (queue, state, urgency, due, payload)
SELECT queue, 0, urgency, ?, payload FROM dead_letters WHERE id = ?;

-- name: remove
-- args: id. One row is removed if the letter is there, else none.
DELETE FROM dead_letters WHERE id = ?;

-- name: purge
-- args: queue, moment, limit. Removes up to `limit` letters that died before the moment.
DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE queue = ? AND died < ? LIMIT ?);
