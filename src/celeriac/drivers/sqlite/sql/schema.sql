-- The tables of a celeriac store (`PRAGMA user_version` tells the version, `application_id` that it is one). All moments
-- are UTC epoch seconds.
--
-- messages: state 0 is ready, 1 delayed, 2 leased. `due` is the moment since when it is ready, at which it becomes
-- ready, or at which its lease ends. `id` is the place in line among equals, and may be used again when its message is
-- gone (AUTOINCREMENT would cost a quarter of an INSERT); `deliveries` begins with 48 random bits and grows by one with
-- each delivery, so that both together fence a lease. `urgency` is the negated priority: the index then reads the most
-- urgent first. A ready message is in one small index, a delayed or leased one in the other.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    queue TEXT NOT NULL,
    state INTEGER NOT NULL,
    urgency INTEGER NOT NULL,
    due REAL NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT (random() & 0xFFFFFFFFFFFF),
    redelivered INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    payload BLOB NOT NULL
);
CREATE INDEX messages_ready ON messages (queue, urgency) WHERE state = 0;
CREATE INDEX messages_timed ON messages (due) WHERE state > 0;

-- dead_letters: rejected messages with the reason, kept until somebody removes them or gives them back. `id` tells the
-- order in which they died and is never used twice.
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    urgency INTEGER NOT NULL,
    died REAL NOT NULL,
    reason TEXT NOT NULL,
    redelivered INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX dead_letters_queue ON dead_letters (queue);

-- queues: every name that was declared or sent to.
CREATE TABLE queues (name TEXT PRIMARY KEY) WITHOUT ROWID;

-- posts: broadcasts, read by `id` and removed a short time after.
CREATE TABLE posts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    exchange TEXT NOT NULL,
    kind TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    ends REAL NOT NULL,
    payload BLOB NOT NULL
);

-- results: `finality` is 0 for a state that is not ready, 1 for FAILURE and REVOKED, 2 for SUCCESS.
CREATE TABLE results (
    task_id TEXT PRIMARY KEY,
    finality INTEGER NOT NULL,
    ends REAL,
    payload BLOB NOT NULL
);
CREATE INDEX results_ends ON results (ends) WHERE ends IS NOT NULL;

-- locks, buckets, counters: facts of the coordinator, gone at `ends`.
CREATE TABLE locks (name TEXT PRIMARY KEY, owner TEXT NOT NULL, ends REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE buckets (
    name TEXT PRIMARY KEY, level REAL NOT NULL, at REAL NOT NULL, ends REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL, ends REAL NOT NULL) WITHOUT ROWID;
