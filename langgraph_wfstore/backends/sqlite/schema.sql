-- The SQLite layout, version 1 (PRAGMA user_version). What each column means: backends/base.py; what is hashed: FORMAT.md.
-- A row's key is the number of its thread (or lineage), shifted by 32 bits, plus its own number in it: rows of one
-- thread lie side by side, and two writers that append at once collide on the key.
CREATE TABLE store(
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE lineage(
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch INTEGER NOT NULL,
  secret BLOB NOT NULL
);
CREATE TABLE thread(
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  name BLOB NOT NULL,
  name_key BLOB NOT NULL UNIQUE,
  life INTEGER NOT NULL,
  lineage INTEGER NOT NULL REFERENCES lineage(no),
  epoch INTEGER NOT NULL,
  current INTEGER NOT NULL,
  branches INTEGER NOT NULL,
  nested INTEGER NOT NULL,
  created INTEGER NOT NULL
);
CREATE INDEX thread_lineage ON thread(lineage);
CREATE TABLE branch(
  thread INTEGER NOT NULL REFERENCES thread(no),
  number INTEGER NOT NULL,
  name BLOB NOT NULL,
  base INTEGER,
  head INTEGER NOT NULL,
  PRIMARY KEY(thread, number)
) WITHOUT ROWID;
CREATE TABLE record(
  key INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  id BLOB NOT NULL,
  state INTEGER NOT NULL,
  body BLOB NOT NULL,
  ordinal INTEGER,
  seal BLOB,
  anchor INTEGER,
  space INTEGER,
  position INTEGER,
  branch INTEGER,
  within INTEGER,
  source TEXT,
  step INTEGER,
  run INTEGER,
  refs BLOB NOT NULL
);
CREATE INDEX record_anchor ON record(key >> 32, anchor);
CREATE INDEX record_order ON record(key >> 32, space, position) WHERE kind = 0;
CREATE INDEX record_source ON record(key >> 32, source) WHERE kind = 0 AND source <> 'loop';
CREATE INDEX record_run ON record(run) WHERE run IS NOT NULL;
CREATE INDEX record_trace ON record(key) WHERE kind = 5;
CREATE TABLE link(
  thread INTEGER NOT NULL REFERENCES thread(no),
  link INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY(thread, link, seq)
) WITHOUT ROWID;
CREATE INDEX link_thread ON link(link);
CREATE INDEX record_within ON record(key >> 32, within) WHERE within IS NOT NULL;
CREATE TABLE object(
  key INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  form INTEGER NOT NULL,
  tag TEXT NOT NULL,
  nonce BLOB,
  data BLOB NOT NULL,
  lookup INTEGER
);
CREATE INDEX object_lookup ON object(key >> 32, lookup) WHERE lookup IS NOT NULL;
CREATE TABLE tombstone(
  name_key BLOB NOT NULL,
  life INTEGER NOT NULL,
  hashes BLOB NOT NULL,
  PRIMARY KEY(name_key, life)
) WITHOUT ROWID;
CREATE TABLE deleted_run(
  hash BLOB PRIMARY KEY
) WITHOUT ROWID;
