-- The statements of the result backend.

-- name: store
-- args: task_id, finality, ends (NULL for never), payload, now (a moment).
-- One atomic step. It says in SQL what `celeriac.states.may_replace` says: what is not final gives way to everything,
-- FAILURE and REVOKED to another end, SUCCESS to nothing; and what has ended is not there.
INSERT INTO results (task_id, finality, ends, payload) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (task_id) DO UPDATE SET finality = excluded.finality, ends = excluded.ends, payload = excluded.payload
WHERE results.finality = 0 OR (results.finality = 1 AND excluded.finality > 0) OR results.ends <= ?5;

-- name: fetch
-- args: a JSON list of ids, now. result: the payloads that exist.
SELECT task_id, payload FROM results
WHERE task_id IN (SELECT value FROM json_each(?)) AND (ends IS NULL OR ends > ?);

-- name: fetch_ready
-- args: a JSON list of ids, now. result: the payloads of those in a ready state.
SELECT task_id, payload FROM results
WHERE task_id IN (SELECT value FROM json_each(?)) AND finality > 0 AND (ends IS NULL OR ends > ?);

-- name: forget
-- args: a JSON list of ids.
DELETE FROM results WHERE task_id IN (SELECT value FROM json_each(?));

-- name: has_ended
-- args: now. result: a row if a result has ended; reads the index alone.
SELECT 1 FROM results WHERE ends IS NOT NULL AND ends <= ? LIMIT 1;

-- name: sweep
-- args: now, limit.
DELETE FROM results WHERE rowid IN (SELECT rowid FROM results WHERE ends IS NOT NULL AND ends <= ? LIMIT ?);
