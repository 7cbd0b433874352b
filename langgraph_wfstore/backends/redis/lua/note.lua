-- Global: notes that a run writes to a thread, and says whether the run was deleted. KEYS: the notes, the deleted runs.
-- ARGV: the run, the note.
redis.call('ZADD', KEYS[1], '0', ARGV[2])
return redis.call('SISMEMBER', KEYS[2], ARGV[1])
