-- Removes content. ARGV: a map; then the records; then the objects. Says whether the lineage is gone.
local a = cmsgpack.unpack(ARGV[1])
if applied(a.operation) then
  return {'done', redis.call('HEXISTS', H, 's' .. a.lineage) == 1 and '' or 'gone'}
end
local kin = 0
for _, n in ipairs(threads()) do
  if redis.call('HGET', key('t', n), 'l') == a.lineage then
    kin = kin + 1
    if not a.expect[n] or not stands(n, a.expect[n]) then
      return {'stale'}
    end
  end
end
for _ in pairs(a.expect) do
  kin = kin - 1
end
if kin ~= 0 then
  return {'stale'}
end
note(a.operation)

-- Takes the records of these numbers out of the index.
local function forget(n, seqs)
  local x = key('x', n)
  local flat = redis.call('HGETALL', x)
  for i = 1, #flat, 2 do
    local kept = {}
    for at = 1, #flat[i + 1], 12 do
      if not seqs[struct.unpack('>I4', flat[i + 1], at + 8)] or (string.sub(flat[i], 1, 1) == 'l'
          and seqs[struct.unpack('>I4', flat[i + 1], at + 8)] == 'linked') then
        kept[#kept + 1] = string.sub(flat[i + 1], at, at + 11)
      end
    end
    if #kept == 0 then
      redis.call('HDEL', x, flat[i])
    elseif #kept * 12 < #flat[i + 1] then
      redis.call('HSET', x, flat[i], table.concat(kept))
    end
  end
end

local argument = 1
for _, thread in ipairs(a.threads) do
  local n, seqs = thread.n, {}
  for _, change in ipairs(thread.records) do
    seqs[change[1]] = change[2]
  end
  if thread.replaces then
    forget(n, seqs)
  end
  local last = redis.call('LLEN', key('r', n))
  for _, change in ipairs(thread.records) do
    argument = argument + 1
    if change[1] <= last then
      redis.call('LSET', key('r', n), change[1] - 1, ARGV[argument])
    else
      redis.call('RPUSH', key('r', n), ARGV[argument])
    end
  end
  index(n, thread.index)
  local sealed = tonumber(redis.call('HGET', key('t', n), 'q'))
  for _, seal in ipairs(thread.sealed) do
    if seal[1] >= sealed then
      sealed = seal[1]
      redis.call('HSET', key('t', n), 'q', tostring(seal[1]), 'o', seal[2], 's', seal[3])
    end
  end
  for _, branch in ipairs(thread.branches) do
    redis.call('HSET', key('t', n), 'B' .. branch[1], branch[2])
  end
end

local objects, big = key('w', a.lineage), key('g', a.lineage)
for _, change in ipairs(a.objects) do
  argument = argument + 1
  redis.call('LSET', objects, change[1] - 1, ARGV[argument])
  if change[2] then
    redis.call('HDEL', big, change[2])
  end
end
for _, drop in ipairs(a.drop) do
  local gone = redis.call('LINDEX', objects, drop - 1)
  if gone and gone ~= '' then
    redis.call('HDEL', big, string.sub(gone, 2, 33))
    redis.call('LSET', objects, drop - 1, '')
  end
end
for _, one in ipairs(a.nonces) do
  local old = redis.call('LINDEX', objects, one[1] - 1)
  if old and old ~= '' then
    local form, rest = string.byte(old, 1), string.sub(old, 34)
    if form >= 128 then
      form, rest = form - 128, string.sub(rest, 17)
    end
    redis.call('LSET', objects, one[1] - 1, string.char(form + 128) .. string.sub(old, 2, 33) .. one[2] .. rest)
  end
end
if a.secret then
  redis.call('HSET', H, 's' .. a.lineage, a.secret)
end

if a.dropped then
  local n = a.dropped
  local name = redis.call('HGET', key('t', n), 'k')
  if a.tombstone then
    redis.call('HSET', H, 'g' .. name, a.tombstone[1], 'x' .. name .. a.tombstone[1], a.tombstone[2])
  end
  redis.call('HDEL', H, 'n' .. name)
  redis.call('DEL', key('t', n), key('r', n), key('x', n), key('o', n))
  local left = {}
  for _, other in ipairs(threads()) do
    if other ~= n then
      left[#left + 1] = other .. ','
    end
  end
  redis.call('HSET', H, 'T', table.concat(left))
end
local left = false
for _, n in ipairs(threads()) do
  if redis.call('HGET', key('t', n), 'l') == a.lineage then
    redis.call('HINCRBY', key('t', n), 'e', 1)
    left = true
  end
end
if left then
  redis.call('HINCRBY', H, 'e' .. a.lineage, 1)
else
  redis.call('DEL', objects, big)
  redis.call('HDEL', H, 's' .. a.lineage, 'e' .. a.lineage)
end
touch(a.ttl)
return {'done', left and '' or 'gone'}
