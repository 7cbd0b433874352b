-- One append. ARGV: a map; then the records; then the objects.
local a = cmsgpack.unpack(ARGV[1])
local n = a.n

-- Sent again after its reply was lost: it was applied if its last record is there.
local function lost()
  local there = a.again and redis.call('LINDEX', key('r', n), a.last - 1)
  local mine = ARGV[1 + a.records]
  return there and string.sub(there, 1, 36) == string.sub(mine, 1, 36)
    and (not a.ordered or string.sub(there, 45) == string.sub(mine, 45)) and (a.ordered or there == mine)
end

if a.row then
  local away = moved(a.name, a.generation)
  if away then
    return {'moved', away}
  end
end
if lost() then
  return {'done', redis.call('HGET', key('t', n), 'l')}
end
if a.run and redis.call('HEXISTS', H, 'd' .. a.run) == 1 then
  return {'stale'}
end
if a.fence and string.match(redis.call('HGET', H, 'L' .. a.name) or '', '^%d+') ~= a.fence then
  return {'stale'}
end
local lineage
if a.row then
  local gone = tonumber(redis.call('HGET', H, 'g' .. a.name) or '0')
  if redis.call('HEXISTS', H, 'n' .. a.name) == 1 or a.row.life ~= gone + 1 then
    return {'stale'}
  end
  lineage = n
else
  if not stands(n, a.expect) then
    return {'stale'}
  end
  lineage = redis.call('HGET', key('t', n), 'l')
end
if a.objects > 0 and redis.call('LLEN', key('w', lineage)) ~= a.first - 1 then
  return {'stale'}
end

push(key('r', n), 2, 1 + a.records)
push(key('w', lineage), 2 + a.records, 1 + a.records + a.objects)
if a.row then
  redis.call('HSET', H, 'n' .. a.name, n, 's' .. n, a.row.secret, 'e' .. n, '0',
    'T', (redis.call('HGET', H, 'T') or '') .. n .. ',')
  redis.call('HSET', key('t', n), 'l', n, 'n', a.row.name, 'k', a.name, 'i', tostring(a.row.life), 'c', a.row.created,
    'e', '0', 'u', '0', 'b', '1', 'd', '0', 'q', '0', 'o', '-1', 's', '')
end
index(n, a.index)
for _, big in ipairs(a.big) do
  redis.call('HSET', key('g', lineage), big[1], big[2])
end
for _, one in ipairs(a.order) do
  place(n, one[1], one[2])
end
if #a.moves > 0 then
  local to, order = {}, redis.call('GET', key('o', n)) or ''
  for _, move in ipairs(a.moves) do
    to[move[1]] = move[2]
    local record = redis.call('LINDEX', key('r', n), move[1] - 1)
    redis.call('LSET', key('r', n), move[1] - 1,
      string.sub(record, 1, 36) .. struct.pack('>I8', move[2]) .. string.sub(record, 45))
  end
  local entries = {}
  for i = 1, #order, 12 do
    local position, seq = struct.unpack('>I8I4', order, i)
    entries[#entries + 1] = {to[seq] or position, seq}
  end
  table.sort(entries, function(x, y) return x[1] < y[1] end)
  for i, entry in ipairs(entries) do
    entries[i] = struct.pack('>I8I4', entry[1], entry[2])
  end
  redis.call('SET', key('o', n), table.concat(entries), 'KEEPTTL')
end
for _, branch in ipairs(a.branches) do
  redis.call('HSET', key('t', n), 'B' .. branch[1], branch[2])
  if tonumber(redis.call('HGET', key('t', n), 'b')) <= branch[1] then
    redis.call('HSET', key('t', n), 'b', tostring(branch[1] + 1))
  end
end
if a.switch then
  redis.call('HSET', key('t', n), 'u', tostring(a.switch))
end
if a.nested then
  redis.call('HSET', key('t', n), 'd', '1')
end
if a.sealed then
  redis.call('HSET', key('t', n), 'q', a.sealed[1], 'o', a.sealed[2], 's', a.sealed[3])
end
touch(a.ttl)
return {'done', lineage}
