-- The tables that version 2 of the schema added to those of schema.sql.
--
-- chords: `body` is NULL while only parts have come. `due` is the moment at which somebody has to look at it: `deadline`,
-- or `sent_by` if that is earlier, or the end of the time that one got who is looking. `counted` is how many parts came,
-- `size` plus `grown` how many must; `owner` is the member whose holder sends the body. A closed one is kept until `ends`,
-- so that what comes late is passed over.
CREATE TABLE chords (
    id TEXT PRIMARY KEY,
    body BLOB,
    size INTEGER,
    grown INTEGER NOT NULL DEFAULT 0,
    counted INTEGER NOT NULL DEFAULT 0,
    deadline REAL,
    sent_by REAL,
    due REAL,
    owner TEXT,
    is_closed INTEGER NOT NULL DEFAULT 0,
    ends REAL NOT NULL
);
CREATE INDEX chords_due ON chords (due) WHERE due IS NOT NULL;
CREATE INDEX chords_ends ON chords (ends);

-- chord_parts: `place` orders them.
CREATE TABLE chord_parts (
    chord TEXT NOT NULL,
    member TEXT NOT NULL,
    place INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (chord, member, place)
);

-- chord_members: those that were added to a chord that ran already.
CREATE TABLE chord_members (chord TEXT NOT NULL, member TEXT NOT NULL, PRIMARY KEY (chord, member)) WITHOUT ROWID;

-- task_groups: what groups consist of, as somebody has saved it.
CREATE TABLE task_groups (id TEXT PRIMARY KEY, payload BLOB NOT NULL, ends REAL);
