-- Where the thread of a name stands. ARGV: name key, generation, ttl.
local away = moved(ARGV[1], tonumber(ARGV[2]))
if away then
  return {'moved', away}
end
local n = redis.call('HGET', H, 'n' .. ARGV[1])
if not n then
  return {'none'}
end
touch(tonumber(ARGV[3]))
return {'done', row(n)}
