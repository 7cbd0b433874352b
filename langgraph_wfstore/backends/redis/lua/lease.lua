-- Claims or releases the lease of a name. ARGV: name key, generation, 'claim' or 'release', holder or token, ttl in us,
-- expiry of the home in ms. A lease is <token>:<expires, us>:<holder>.
local away = moved(ARGV[1], tonumber(ARGV[2]))
if away then
  return {'moved', away}
end
local token, expires, holder = string.match(redis.call('HGET', H, 'L' .. ARGV[1]) or '', '^(%d+):(%d+):(.*)$')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
if ARGV[3] == 'release' then
  if token ~= ARGV[4] then
    return {'done', ''}
  end
  expires = '0'
else
  if token and holder ~= ARGV[4] and tonumber(expires) > now then
    return {'done', token .. ':' .. expires .. ':' .. holder}
  end
  if holder ~= ARGV[4] then
    token = string.format('%.0f', tonumber(token or '0') + 1)
  end
  holder, expires = ARGV[4], string.format('%.0f', now + tonumber(ARGV[5]))
end
local lease = token .. ':' .. expires .. ':' .. holder
redis.call('HSET', H, 'L' .. ARGV[1], lease)
touch(tonumber(ARGV[6]))
return {'done', lease}
