-- What is kept of a name beside its threads: where it went, the lease, the tombstones. ARGV: name key, generation.
local away = moved(ARGV[1], tonumber(ARGV[2]))
if away then
  return {'moved', away}
end
local lives = tonumber(redis.call('HGET', H, 'g' .. ARGV[1]) or '0')
local found = {}
for life = 1, lives do
  local hashes = redis.call('HGET', H, 'x' .. ARGV[1] .. life)
  if hashes then
    found[#found + 1] = tostring(life)
    found[#found + 1] = hashes
  end
end
return {'done', redis.call('HGET', H, 'L' .. ARGV[1]) or '', tostring(lives), found}
