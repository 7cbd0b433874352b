-- Keeps what belongs to a name that is about to live here. ARGV: name key, lease, lives, ttl, life and hashes of each
-- tombstone. What is here already and newer stays.
local function token(lease)
  return tonumber(string.match(lease or '', '^%d+') or '0')
end
local lives = tonumber(ARGV[3])
if token(ARGV[2]) > token(redis.call('HGET', H, 'L' .. ARGV[1])) then
  redis.call('HSET', H, 'L' .. ARGV[1], ARGV[2])
end
if lives > tonumber(redis.call('HGET', H, 'g' .. ARGV[1]) or '0') then
  redis.call('HSET', H, 'g' .. ARGV[1], ARGV[3])
end
for i = 5, #ARGV, 2 do
  redis.call('HSETNX', H, 'x' .. ARGV[1] .. ARGV[i], ARGV[i + 1])
end
touch(tonumber(ARGV[4]))
return 1
