-- Version 2: an append is one call of a function, whose statements every connection of the server plans once.
--
-- A thread that is to be created comes without a number. The result is the numbers of thread and lineage, or NULL, and
-- nothing was written, if the thread is not as expected. Until the call's transaction has ended no other append to the thread, and no removal, changes it or
-- its lineage: whoever has waited for the lock looks at the epochs, and at the thread's end, as they are then.
CREATE FUNCTION wf.append(
  number bigint, epoch bigint, lineage_epoch bigint, last integer, finish bytea,
  key bytea, life bigint, name bytea, secret bytea, created bigint,
  run bytea, token bigint, current integer, nested boolean, lazy boolean,
  seqs integer[], kinds smallint[], ids bytea[], states smallint[], bodies bytea[], ordinals integer[], seals bytea[],
  anchors bigint[], spaces bigint[], positions bigint[], on_branches integer[], withins bigint[], sources bytea[],
  steps bigint[], runs bigint[], refs bytea[],
  numbers integer[], ids_of_objects bytea[], forms smallint[], tags bytea[], nonces bytea[], datas bytea[], lookups bigint[],
  links bigint[], linked integer[],
  moved integer[], moved_to bigint[],
  branch_numbers integer[], branch_names bytea[], bases bigint[], heads bigint[]
) RETURNS bigint[] LANGUAGE plpgsql AS $wfstore_append$
#variable_conflict use_column
DECLARE
  is_new boolean := number IS NULL;
  found_last integer;
  found_end bytea;
  found_lineage bigint;
BEGIN
  IF token IS NOT NULL THEN
    PERFORM FROM wf.lease l WHERE l.name_key = append.key AND l.token = append.token FOR SHARE;
    IF NOT FOUND THEN RETURN NULL; END IF;
  END IF;
  IF run IS NOT NULL AND current_setting('transaction_isolation') <> 'read committed' THEN
    -- What such a transaction sees is older than its locks: if a run was deleted since, this fails and is tried again.
    PERFORM FROM wf.store s WHERE s.name = 'deleted runs' FOR SHARE;
  END IF;
  IF is_new THEN
    -- As with the table of records below: a run that is being deleted is seen here or waits for us.
    LOCK TABLE wf.record IN ROW EXCLUSIVE MODE;
    INSERT INTO wf.lineage (epoch, secret) SELECT 0, append.secret
      WHERE coalesce((SELECT max(l.life) FROM wf.life l WHERE l.name_key = append.key), 0) + 1 = append.life
      AND (append.run IS NULL OR NOT EXISTS (SELECT FROM wf.deleted_run d WHERE d.hash = append.run))
      RETURNING no INTO found_lineage;
    IF NOT FOUND THEN RETURN NULL; END IF;
    INSERT INTO wf.life (name_key, life) VALUES (append.key, append.life);
    INSERT INTO wf.thread (name, name_key, life, lineage, epoch, current, nested, created)
      VALUES (append.name, append.key, append.life, found_lineage, 0, append.current, append.nested, append.created)
      RETURNING no INTO number;
  ELSE
    SELECT t.lineage INTO found_lineage FROM wf.thread t JOIN wf.lineage l ON l.no = t.lineage
      WHERE t.no = append.number AND t.epoch = append.epoch AND l.epoch = append.lineage_epoch
      FOR NO KEY UPDATE OF t FOR SHARE OF l;
    IF NOT FOUND THEN RETURN NULL; END IF;
    SELECT r.seq, coalesce(r.seal, r.id) INTO found_last, found_end FROM wf.record r
      WHERE r.thread = append.number ORDER BY r.seq DESC LIMIT 1;
    IF coalesce(found_last, 0) <> append.last OR found_end IS DISTINCT FROM append.finish THEN RETURN NULL; END IF;
  END IF;
  -- The table is locked before the statement sees what is in `deleted_run`: see `mark_deleted_runs`.
  INSERT INTO wf.record (thread, seq, kind, id, state, body, ordinal, seal, anchor, space, position, branch, within,
      source, step, run, refs)
    SELECT append.number, r.* FROM unnest(seqs, kinds, ids, states, bodies, ordinals, seals, anchors, spaces,
      positions, on_branches, withins, sources, steps, runs, append.refs) AS r
    WHERE is_new OR append.run IS NULL OR NOT EXISTS (SELECT FROM wf.deleted_run d WHERE d.hash = append.run);
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF numbers IS NOT NULL THEN
    INSERT INTO wf.object (lineage, number, id, form, tag, nonce, data, lookup)
      SELECT found_lineage, o.* FROM unnest(numbers, ids_of_objects, forms, tags, nonces, datas, lookups) AS o;
  END IF;
  IF links IS NOT NULL THEN
    INSERT INTO wf.link (thread, link, seq)
      SELECT append.number, x.* FROM unnest(links, linked) AS x ON CONFLICT DO NOTHING;
  END IF;
  IF moved IS NOT NULL THEN
    UPDATE wf.record r SET position = m.position FROM unnest(moved, moved_to) AS m(seq, position)
      WHERE r.thread = append.number AND r.seq = m.seq;
  END IF;
  IF branch_numbers IS NOT NULL THEN
    INSERT INTO wf.branch (thread, number, name, base, head)
      SELECT append.number, b.* FROM unnest(branch_numbers, branch_names, bases, heads) AS b
      ON CONFLICT (thread, number) DO UPDATE SET name = excluded.name, base = excluded.base, head = excluded.head;
  END IF;
  IF NOT is_new AND (append.current IS NOT NULL OR append.nested) THEN
    UPDATE wf.thread t SET current = coalesce(append.current, t.current), nested = t.nested OR append.nested
      WHERE t.no = append.number;
  END IF;
  IF lazy THEN PERFORM set_config('synchronous_commit', 'off', true); END IF;
  RETURN ARRAY[append.number, found_lineage];
END
$wfstore_append$;
-- Changed whenever runs are deleted.
INSERT INTO wf.store VALUES ('deleted runs', '');
UPDATE wf.store SET value = '\x32' WHERE name = 'version';
