-- What every script of a home begins with. KEYS[1] is the home's hash; all other keys of the home have the same hash
-- tag, and their names follow from it:
--   h         hash: n<name key> thread number; g<name key> last deleted life; x<name key><life> tombstone; L<name key>
--             lease; d<run> deleted run; T the thread numbers; s<lineage> secret; e<lineage> epoch
--   m         hash: <name key> where the thread of that name lives now, as <generation>:<home>; never expires
--   t<thread> hash: the thread's row; B<number> its branches
--   r<thread> list: records, by number
--   x<thread> hash: <kind><bucket> entries of 8 bytes key and 4 bytes record number
--   o<thread> string: 8 bytes position and 4 bytes record number of each checkpoint, by position
--   w<lineage> list: objects, by number; empty where one was dropped
--   g<lineage> hash: id of a large object, its number
--   #<id>     an operation that was applied, for a while
local H = KEYS[1]
local base = string.sub(H, 1, -2)

local function key(kind, number)
  return base .. kind .. number
end

local function moved(name, generation)
  local to = redis.call('HGET', base .. 'm', name)
  if to and tonumber(string.match(to, '^%d+')) > generation then
    return to
  end
  return nil
end

local function standing(n)
  local t = redis.call('HMGET', key('t', n), 'l', 'e', 'q', 's')
  if not t[1] then
    return nil
  end
  local last, ending = redis.call('LLEN', key('r', n)), ''
  if last > 0 then
    if tonumber(t[3]) == last then
      ending = t[4]
    else
      ending = string.sub(redis.call('LINDEX', key('r', n), -1), 3, 34)
    end
  end
  return {t[2], redis.call('HGET', H, 'e' .. t[1]) or '', tostring(last), ending, t[1]}
end

local function stands(n, expected)
  local found = standing(n)
  if not found then
    return false
  end
  for i = 1, 4 do
    if found[i] ~= expected[i] then
      return false
    end
  end
  return true
end

local function row(n)
  local flat = redis.call('HGETALL', key('t', n))
  if #flat == 0 then
    return nil
  end
  local t, branches = {}, {}
  for i = 1, #flat, 2 do
    if string.sub(flat[i], 1, 1) == 'B' then
      branches[#branches + 1] = string.sub(flat[i], 2)
      branches[#branches + 1] = flat[i + 1]
    else
      t[flat[i]] = flat[i + 1]
    end
  end
  local ids = {}
  for i, record in ipairs(redis.call('LRANGE', key('r', n), t.q, -1)) do
    ids[i] = string.sub(record, 3, 34)
  end
  return {
    n, t.l, t.n, t.i, redis.call('HGET', H, 's' .. t.l) or '', t.c, t.e, redis.call('HGET', H, 'e' .. t.l) or '',
    t.u, t.b, t.d, tostring(redis.call('LLEN', key('r', n))), t.o, t.s, table.concat(ids),
    tostring(redis.call('LLEN', key('w', t.l))), branches
  }
end

local function threads()
  local found = {}
  for n in string.gmatch(redis.call('HGET', H, 'T') or '', '%d+') do
    found[#found + 1] = n
  end
  return found
end

-- The whole home expires at one moment, or nothing of it does.
local function touch(ttl)
  if ttl <= 0 then
    return
  end
  local time = redis.call('TIME')
  local at = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + ttl)
  redis.call('PEXPIREAT', H, at)
  for _, n in ipairs(threads()) do
    local lineage = redis.call('HGET', key('t', n), 'l')
    for _, kind in ipairs({'t', 'r', 'x', 'o'}) do
      redis.call('PEXPIREAT', key(kind, n), at)
    end
    if lineage then
      redis.call('PEXPIREAT', key('w', lineage), at)
      redis.call('PEXPIREAT', key('g', lineage), at)
    end
  end
end

local function push(list, first, last)
  for i = first, last, 1000 do
    redis.call('RPUSH', list, unpack(ARGV, i, math.min(i + 999, last)))
  end
end

local function index(n, entries)
  for _, entry in ipairs(entries) do
    redis.call('HSET', key('x', n), entry[1], (redis.call('HGET', key('x', n), entry[1]) or '') .. entry[2])
  end
end

-- How many of the first `high` entries of a causal order have a smaller position.
local function count_below(order, high, position)
  local low = 0
  while low < high do
    local middle = math.floor((low + high) / 2)
    if struct.unpack('>I8', redis.call('GETRANGE', order, middle * 12, middle * 12 + 7)) < position then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function place(n, position, seq)
  local order, entry = key('o', n), struct.pack('>I8I4', position, seq)
  local low = redis.call('STRLEN', order) / 12
  if low > 0 and struct.unpack('>I8', redis.call('GETRANGE', order, low * 12 - 12, low * 12 - 5)) >= position then
    low = count_below(order, low, position)
  end
  redis.call('SETRANGE', order, low * 12, entry .. redis.call('GETRANGE', order, low * 12, -1))
end

local function applied(operation)
  return redis.call('EXISTS', base .. '#' .. operation) == 1
end

local function note(operation)
  redis.call('SET', base .. '#' .. operation, '1', 'PX', '600000')
end
