-- The largest position of a checkpoint below another. ARGV: number, position.
local order = key('o', ARGV[1])
local low = count_below(order, redis.call('STRLEN', order) / 12, tonumber(ARGV[2]))
if low == 0 then
  return nil
end
return string.format('%.0f', struct.unpack('>I8', redis.call('GETRANGE', order, low * 12 - 12, low * 12 - 5)))
