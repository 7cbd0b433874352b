-- Global: notes that a run was deleted, and says which threads it wrote to. KEYS as in note.lua. ARGV: the run.
redis.call('SADD', KEYS[2], ARGV[1])
return redis.call('ZRANGEBYLEX', KEYS[1], '[' .. ARGV[1], '(' .. ARGV[1] .. string.rep('\255', 17))
