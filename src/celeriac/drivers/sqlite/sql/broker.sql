-- The statements of the broker. Those that write run inside BEGIN IMMEDIATE ... COMMIT, so a call is done whole or
-- not at all, and no other writer comes between its statements.

-- name: declare
-- args: name. Idempotent.
INSERT OR IGNORE INTO queues (name) VALUES (?);

-- name: queues
-- result: every known name, sorted.
SELECT name FROM queues ORDER BY name;

-- name: send
-- args: queue, state (0 ready or 1 delayed), urgency, due, payload.
INSERT INTO messages (queue, state, urgency, due, payload) VALUES (?, ?, ?, ?, ?);

-- name: is_anything_ready
-- args: queue. result: a row if a message is ready; reads the index alone.
SELECT 1 FROM messages WHERE state = 0 AND queue = ? LIMIT 1;

-- name: count_some_ready
-- args: queue, most. result: how many messages are ready, `most` at most; reads the index alone.
SELECT count(*) FROM (SELECT 1 FROM messages WHERE state = 0 AND queue = ? LIMIT ?);

-- name: claim
-- args: until, owner, queue, limit. result: the rows taken, in no order.
UPDATE messages SET state = 2, due = ?, owner = ?, deliveries = deliveries + 1
WHERE id IN (SELECT id FROM messages WHERE state = 0 AND queue = ? ORDER BY urgency, id LIMIT ?)
RETURNING urgency, id, deliveries, redelivered, payload;

-- name: extend
-- args: until, id, deliveries. One row is changed if the lease is still held, else none.
UPDATE messages SET due = ? WHERE id = ? AND deliveries = ? AND state = 2;

-- name: ack
-- args: id, deliveries. One row is removed if the lease is still held, else none.
DELETE FROM messages WHERE id = ? AND deliveries = ? AND state = 2;

-- name: requeue
-- args: state (0 or 1), due, mark (0 or 1), id, deliveries. The id stays, so it is first in line. One row if still
-- held, else none.
UPDATE messages SET state = ?, due = ?, redelivered = redelivered OR ?, owner = NULL WHERE id = ? AND deliveries = ? AND state = 2;

-- name: held_by
-- args: owner. result: queue, id, deliveries of what it holds, in their order.
SELECT queue, id, deliveries FROM messages WHERE state > 0 AND state = 2 AND owner = ? ORDER BY urgency, id;

-- name: bury
-- args: died, reason, id, deliveries. Copies a held message to the dead letters; `ack` removes it after.
INSERT INTO dead_letters (queue, urgency, died, reason, redelivered, payload)
SELECT queue, urgency, ?, ?, redelivered, payload FROM messages WHERE id = ? AND deliveries = ? AND state = 2;

-- name: next_due
-- result: the earliest moment at which something delayed or leased is due, or NULL; reads the index alone.
SELECT min(due) FROM messages WHERE state > 0;

-- name: promote
-- args: now, limit. Due messages go to the end of the line, in the order they are due, so they get new ids.
INSERT INTO messages (queue, state, urgency, due, deliveries, redelivered, payload)
SELECT queue, 0, urgency, due, deliveries, redelivered, payload
FROM messages WHERE state > 0 AND state = 1 AND due <= ? ORDER BY due, id LIMIT ?;

-- name: remove_promoted
-- args: now, limit, as given to `promote` just before in the same transaction: the same rows.
DELETE FROM messages WHERE id IN (
    SELECT id FROM messages WHERE state > 0 AND state = 1 AND due <= ? ORDER BY due, id LIMIT ?
);

-- name: reclaim
-- args: ready since, now, limit. Expired leases end; their messages keep their id, so they are first in line.
UPDATE messages SET state = 0, due = ?, owner = NULL, redelivered = 1 WHERE id IN (
    SELECT id FROM messages WHERE state > 0 AND state = 2 AND due <= ? ORDER BY due LIMIT ?
);

-- name: count_ready
-- args: queue. result: how many are ready, and the id of the oldest; reads the index alone.
SELECT count(*), min(id) FROM messages WHERE state = 0 AND queue = ?;

-- name: ready_since
-- args: id. result: the moment since when this message is ready.
SELECT due FROM messages WHERE id = ? AND state = 0;

-- name: count_timed
-- result: how many are delayed and how many leased, by queue.
SELECT queue, sum(state = 1), sum(state = 2) FROM messages WHERE state > 0 GROUP BY queue;

-- name: count_dead
-- args: queue. result: how many dead letters.
SELECT count(*) FROM dead_letters WHERE queue = ?;

-- name: purge_ready
-- args: queue.
DELETE FROM messages WHERE state = 0 AND queue = ?;

-- name: purge_delayed
-- args: queue.
DELETE FROM messages WHERE state > 0 AND state = 1 AND queue = ?;
