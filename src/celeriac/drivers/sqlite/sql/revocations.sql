-- The statements of revocations.

-- name: forget
-- args: now. Removes what has ended.
DELETE FROM revocations WHERE ends <= ?;

-- name: forget_sooner
-- args: task_id, header, stamp, signal, ends, sooner. Removes a known one that would end more than `sooner` seconds before,
-- so that it gets a new number.
DELETE FROM revocations WHERE task_id = ?1 AND header = ?2 AND stamp = ?3 AND signal = ?4 AND ends < ?5 - ?6;

-- name: add
-- args: task_id, header, stamp, signal, ends. A known one stays. Numbers are never used twice.
INSERT INTO revocations (task_id, header, stamp, signal, ends)
SELECT ?1, ?2, ?3, ?4, ?5
WHERE NOT EXISTS (
    SELECT 1 FROM revocations WHERE task_id = ?1 AND header = ?2 AND stamp = ?3 AND signal = ?4
);

-- name: delayed
-- result: the ids and contents of all delayed messages.
SELECT id, payload FROM messages WHERE state > 0 AND state = 1;

-- name: hasten
-- args: now, id. A delayed message becomes due.
UPDATE messages SET due = ? WHERE id = ? AND state = 1;

-- name: newest
-- result: the newest number; null for none.
SELECT max(number) FROM revocations;

-- name: since
-- args: now, number. result: what came after that number and has not ended, oldest first.
SELECT task_id, header, stamp, signal, ends - ?1 FROM revocations WHERE ends > ?1 AND number > ?2 ORDER BY number;
