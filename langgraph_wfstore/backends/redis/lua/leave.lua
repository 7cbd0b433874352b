-- Sends a name elsewhere. ARGV: name key, generation, lease and lives as they were carried over, where to as
-- <generation>:<home>. Refused if a thread of that name is here, or the rest changed meanwhile.
local away = moved(ARGV[1], tonumber(ARGV[2]))
if away then
  return {'moved', away}
end
if redis.call('HEXISTS', H, 'n' .. ARGV[1]) == 1 then
  return {'stale'}
end
if (redis.call('HGET', H, 'L' .. ARGV[1]) or '') ~= ARGV[3]
    or (redis.call('HGET', H, 'g' .. ARGV[1]) or '0') ~= ARGV[4] then
  return {'changed'}
end
redis.call('HSET', base .. 'm', ARGV[1], ARGV[5])
return {'done'}
