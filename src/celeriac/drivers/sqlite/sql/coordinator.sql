-- The statements of the coordinator. Each is one atomic step.

-- name: acquire
-- args: name, owner, ends, now. result: a row if the lock is the owner's now; none if another has it.
INSERT INTO locks (name, owner, ends) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, ends = excluded.ends
WHERE locks.owner = excluded.owner OR locks.ends <= ?4
RETURNING 1;

-- name: release
-- args: name, owner, now. One row is removed if the owner had it.
DELETE FROM locks WHERE name = ? AND owner = ? AND ends > ?;

-- name: holder
-- args: name, now. result: the owner.
SELECT owner FROM locks WHERE name = ? AND ends > ?;

-- name: level
-- args: name. result: the level of the bucket and the moment of that level; none for a full one.
SELECT level, at FROM buckets WHERE name = ?;

-- name: set_level
-- args: name, level, at, ends. Runs in one transaction with `level`.
INSERT INTO buckets (name, level, at, ends) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET level = excluded.level, at = excluded.at, ends = excluded.ends;

-- name: increment
-- args: name, by, ends, now. result: the new value.
INSERT INTO counters (name, value, ends) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET
    value = excluded.value + CASE WHEN counters.ends > ?4 THEN counters.value ELSE 0 END, ends = excluded.ends
RETURNING value;

-- name: prune_locks
-- args: now.
DELETE FROM locks WHERE ends <= ?;

-- name: prune_buckets
-- args: now.
DELETE FROM buckets WHERE ends <= ?;

-- name: prune_counters
-- args: now.
DELETE FROM counters WHERE ends <= ?;
