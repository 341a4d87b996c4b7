-- The statements of groups and chords.

-- name: forget_ended
-- args: id, now. What has ended is not there.
DELETE FROM chords WHERE id = ? AND ends <= ?;

-- name: drop
-- args: id.
DELETE FROM chords WHERE id = ?;

-- name: drop_parts
-- args: id.
DELETE FROM chord_parts WHERE chord = ?;

-- name: open
-- args: id, body, size, deadline, sent_by, due, ends. A chord that is known stays as it is; parts that came are counted.
INSERT INTO chords (id, body, size, deadline, sent_by, due, ends) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (id) DO UPDATE SET
    body = excluded.body, size = excluded.size, deadline = excluded.deadline, sent_by = excluded.sent_by,
    due = excluded.due, ends = max(chords.ends, excluded.ends)
WHERE chords.body IS NULL AND chords.is_closed = 0;

-- name: seal
-- args: id, size (NULL to leave it), sent_by, now. Changes no row when the chord is over.
UPDATE chords SET
    size = coalesce(?2, size), sent_by = ?3,
    due = CASE WHEN is_closed THEN NULL WHEN ?3 IS NULL THEN deadline ELSE min(?3, deadline) END
WHERE id = ?1 AND body IS NOT NULL AND ends > ?4 AND (is_closed = 0 OR owner IS NOT NULL);

-- name: drop_members
-- args: id.
DELETE FROM chord_members WHERE chord = ?;

-- name: add_member
-- args: id, member. Changes no row when it is known.
INSERT INTO chord_members (chord, member) SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM chords WHERE id = ?1 AND is_closed = 0)
ON CONFLICT DO NOTHING;

-- name: grow
-- args: id, by.
UPDATE chords SET grown = grown + ?2 WHERE id = ?1 AND is_closed = 0;

-- name: expect
-- args: id, ends. Makes room for parts of a chord, whether or not it is known yet; one that is known lives no shorter.
INSERT INTO chords (id, ends) VALUES (?1, ?2)
ON CONFLICT (id) DO UPDATE SET ends = max(chords.ends, excluded.ends) WHERE is_closed = 0;

-- name: add_part
-- args: chord, member, place, payload. Changes no row when the part is there, or the chord is closed.
INSERT INTO chord_parts (chord, member, place, payload)
SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM chords WHERE id = ?1 AND is_closed = 0)
ON CONFLICT DO NOTHING;

-- name: count
-- args: id, how many parts are new.
UPDATE chords SET counted = counted + ?2 WHERE id = ?1;

-- name: own
-- args: id, member. Makes the member the owner when all parts have come and nobody is; result: who it is.
UPDATE chords SET owner = coalesce(owner, ?2)
WHERE id = ?1 AND is_closed = 0 AND size IS NOT NULL AND counted >= size + grown
RETURNING owner;

-- name: parts
-- args: chord. result: payloads in order.
SELECT payload FROM chord_parts WHERE chord = ? ORDER BY place, rowid;

-- name: places
-- args: chord. result: the places of the parts that came.
SELECT place FROM chord_parts WHERE chord = ?;

-- name: close
-- args: id, ends.
UPDATE chords SET is_closed = 1, due = NULL, ends = ?2 WHERE id = ?1;

-- name: has_overdue
-- args: now. result: a row if a chord is due; reads the index alone.
SELECT 1 FROM chords WHERE due IS NOT NULL AND due <= ? LIMIT 1;

-- name: overdue
-- args: now, again, limit. Takes those that are due; result: id, body, size, counted, sealed, complete.
UPDATE chords SET due = ?2
WHERE id IN (SELECT id FROM chords WHERE due IS NOT NULL AND due <= ?1 ORDER BY due LIMIT ?3)
RETURNING id, body, size + grown, counted, sent_by IS NULL, size IS NOT NULL AND counted >= size + grown;

-- name: has_ended
-- args: now. result: a row if something has ended.
SELECT 1 FROM chords WHERE ends <= ?1 UNION ALL SELECT 1 FROM task_groups WHERE ends <= ?1 LIMIT 1;

-- name: sweep_parts
-- args: now.
DELETE FROM chord_parts WHERE chord IN (SELECT id FROM chords WHERE ends <= ?);

-- name: sweep_members
-- args: now.
DELETE FROM chord_members WHERE chord IN (SELECT id FROM chords WHERE ends <= ?);

-- name: sweep
-- args: now.
DELETE FROM chords WHERE ends <= ?;

-- name: sweep_groups
-- args: now.
DELETE FROM task_groups WHERE ends <= ?;

-- name: save_group
-- args: id, payload, ends (NULL for never).
INSERT INTO task_groups (id, payload, ends) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET payload = excluded.payload, ends = excluded.ends;

-- name: fetch_group
-- args: id, now.
SELECT payload FROM task_groups WHERE id = ? AND (ends IS NULL OR ends > ?);

-- name: forget_group
-- args: id.
DELETE FROM task_groups WHERE id = ?;
