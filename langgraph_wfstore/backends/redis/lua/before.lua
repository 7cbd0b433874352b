-- The largest position of a checkpoint below another. ARGV: number, position.
local order, below = key('o', ARGV[1]), tonumber(ARGV[2])
local low, high = 0, redis.call('STRLEN', order) / 12
while low < high do
  local middle = math.floor((low + high) / 2)
  if struct.unpack('>I8', redis.call('GETRANGE', order, middle * 12, middle * 12 + 7)) < below then
    low = middle + 1
  else
    high = middle
  end
end
if low == 0 then
  return nil
end
return string.format('%.0f', struct.unpack('>I8', redis.call('GETRANGE', order, low * 12 - 12, low * 12 - 5)))
