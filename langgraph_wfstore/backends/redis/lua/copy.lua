-- A thread with the same records and lineage. ARGV: operation, source, how it must stand (4), number, name key,
-- generation, name, life, created, ttl.
if applied(ARGV[1]) then
  return {'done'}
end
local n, from, name = ARGV[7], ARGV[2], ARGV[8]
local away = moved(name, tonumber(ARGV[9]))
if away then
  return {'moved', away}
end
if redis.call('HEXISTS', H, 'n' .. name) == 1 or not stands(from, {ARGV[3], ARGV[4], ARGV[5], ARGV[6]})
    or tonumber(ARGV[11]) ~= tonumber(redis.call('HGET', H, 'g' .. name) or '0') + 1 then
  return {'stale'}
end
note(ARGV[1])
for _, kind in ipairs({'t', 'r', 'x', 'o'}) do
  redis.call('COPY', key(kind, from), key(kind, n))
end
redis.call('HSET', key('t', n), 'n', ARGV[10], 'k', name, 'i', ARGV[11], 'c', ARGV[12], 'e', '0')
redis.call('HSET', H, 'n' .. name, n, 'T', redis.call('HGET', H, 'T') .. n .. ',')
touch(tonumber(ARGV[13]))
return {'done'}
