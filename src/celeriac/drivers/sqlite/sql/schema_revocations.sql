-- Version 3: revocations. What must not run, by an id or by a stamp (the other columns are empty), until `ends`.
CREATE TABLE revocations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL,
    header TEXT NOT NULL,
    stamp TEXT NOT NULL,
    signal TEXT NOT NULL,
    ends REAL NOT NULL
);
CREATE INDEX revocations_known ON revocations (task_id, header, stamp, signal);
