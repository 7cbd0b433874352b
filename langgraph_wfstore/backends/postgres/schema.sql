-- The PostgreSQL layout, version 1. What each column means: backends/base.py; what is hashed: FORMAT.md. "wf" stands for
-- the schema's name. Names of users are bytes: text takes neither NUL nor lone surrogates. There are no foreign keys:
-- every append would lock the row it refers to a second time.
CREATE TABLE wf.store (
  name text PRIMARY KEY,
  value bytea NOT NULL
);
CREATE TABLE wf.lineage (
  no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  epoch bigint NOT NULL,
  secret bytea NOT NULL
) WITH (fillfactor = 70);
CREATE TABLE wf.thread (
  no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name bytea NOT NULL,
  name_key bytea NOT NULL UNIQUE,
  life bigint NOT NULL,
  lineage bigint NOT NULL,
  epoch bigint NOT NULL,
  current integer NOT NULL,
  nested boolean NOT NULL,
  created bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX thread_lineage ON wf.thread (lineage);
-- One row per life of a thread id; the hashes come when it is deleted.
CREATE TABLE wf.life (
  name_key bytea NOT NULL,
  life bigint NOT NULL,
  hashes bytea,
  PRIMARY KEY (name_key, life)
);
CREATE TABLE wf.branch (
  thread bigint NOT NULL,
  number integer NOT NULL,
  name bytea NOT NULL,
  base bigint,
  head bigint NOT NULL,
  PRIMARY KEY (thread, number)
) WITH (fillfactor = 50);
CREATE TABLE wf.record (
  thread bigint NOT NULL,
  anchor bigint,
  space bigint,
  position bigint,
  within bigint,
  step bigint,
  run bigint,
  seq integer NOT NULL,
  ordinal integer,
  branch integer,
  kind smallint NOT NULL,
  state smallint NOT NULL,
  id bytea NOT NULL,
  seal bytea,
  source bytea,
  refs bytea NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (thread, seq)
);
-- Bodies and data are compressed before they come here.
ALTER TABLE wf.record ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX record_anchor ON wf.record (thread, anchor) WHERE anchor IS NOT NULL;
CREATE INDEX record_order ON wf.record (thread, space, position) WHERE kind = 0;
CREATE INDEX record_source ON wf.record (thread, source) WHERE kind = 0 AND source <> '\x6c6f6f70';
CREATE INDEX record_run ON wf.record (run) WHERE run IS NOT NULL;
CREATE INDEX record_trace ON wf.record (thread, seq) WHERE kind = 5;
CREATE INDEX record_within ON wf.record (thread, within) WHERE within IS NOT NULL;
CREATE INDEX record_seal ON wf.record (thread, seq) WHERE seal IS NOT NULL;
CREATE TABLE wf.link (
  thread bigint NOT NULL,
  link bigint NOT NULL,
  seq integer NOT NULL,
  PRIMARY KEY (thread, link, seq)
);
CREATE INDEX link_thread ON wf.link (link);
CREATE TABLE wf.object (
  lineage bigint NOT NULL,
  lookup bigint,
  number integer NOT NULL,
  form smallint NOT NULL,
  id bytea NOT NULL,
  tag bytea NOT NULL,
  nonce bytea,
  data bytea NOT NULL,
  PRIMARY KEY (lineage, number)
);
ALTER TABLE wf.object ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX object_lookup ON wf.object (lineage, lookup) WHERE lookup IS NOT NULL;
CREATE TABLE wf.deleted_run (
  hash bytea PRIMARY KEY
);
CREATE TABLE wf.lease (
  name_key bytea PRIMARY KEY,
  token bigint NOT NULL,
  holder bytea NOT NULL,
  expires bigint NOT NULL
) WITH (fillfactor = 70);
-- Operations that were applied, by a number of their own: one whose reply was lost is not applied again.
CREATE TABLE wf.operation (
  id bytea PRIMARY KEY,
  made timestamptz NOT NULL DEFAULT now()
);
INSERT INTO wf.store VALUES
  ('secret', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))),
  ('version', '\x31');
