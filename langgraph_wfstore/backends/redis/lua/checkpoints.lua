-- Checkpoints with their content, newest first. ARGV: number; position that all are below, or ''; how many; a map of
-- columns that must have these bytes. Looks at so many at a time, and says from which position to go on, or ''.
local n, limit, where = ARGV[1], tonumber(ARGV[3]), cmsgpack.unpack(ARGV[4])
local order, records = key('o', n), key('r', n)

local function fits(e)
  if string.byte(e, 2) ~= 0 then
    return false
  end
  local flags, at = string.byte(e, 35) * 256 + string.byte(e, 36), 45
  local function column(flag, width)
    if bit.band(flags, flag) == 0 then
      return nil
    end
    at = at + width
    return string.sub(e, at - width, at - 1)
  end
  local found = {}
  found.space = column(16, 8) or (bit.band(flags, 8) ~= 0 and '\0\0\0\0\0\0\0\0' or nil)
  found.branch = column(64, 8)
  found.step = column(256, 8)
  found.run = column(512, 8)
  found.within = column(128, 8)
  if bit.band(flags, 1024) ~= 0 then
    local size = struct.unpack('>I2', e, at)
    found.source = string.sub(e, at + 2, at + 1 + size)
  end
  for name, value in pairs(where) do
    if found[name] ~= value then
      return false
    end
  end
  return true
end

local high = redis.call('STRLEN', order) / 12
if ARGV[2] ~= '' then
  high = count_below(order, high, tonumber(ARGV[2]))
end
local found, looked = {}, 0
while high > 0 and limit > 0 do
  local low = math.max(0, high - 64)
  local page = redis.call('GETRANGE', order, low * 12, high * 12 - 1)
  for i = high - low, 1, -1 do
    local seq = struct.unpack('>I4', page, i * 12 - 3)
    local record = redis.call('LINDEX', records, seq - 1)
    if fits(record) then
      found[#found + 1] = seq
      found[#found + 1] = record
      limit = limit - 1
      if limit == 0 then
        return {'', found}
      end
    end
  end
  high, looked = low, looked + 64
  if looked >= 512 and high > 0 then
    return {string.format('%.0f', struct.unpack('>I8', page, 1)), found}
  end
end
return {'', found}
