-- Global: one setting of the store. KEYS: the hash of settings, the operation. ARGV: name, what it must be ('' or '1' and
-- the value), what it becomes (the same).
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 'done'
end
local is = redis.call('HGET', KEYS[1], ARGV[1])
if (is and '1' .. is or '') ~= ARGV[2] then
  return 'stale'
end
redis.call('SET', KEYS[2], '1', 'PX', '600000')
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.sub(ARGV[3], 2))
end
return 'done'
