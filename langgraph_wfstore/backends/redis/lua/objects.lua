-- Objects in ranges. ARGV: lineage, then first and last number of each range.
local found = {}
for i = 2, #ARGV, 2 do
  found[#found + 1] = redis.call('LRANGE', key('w', ARGV[1]), ARGV[i] - 1, ARGV[i + 1] - 1)
end
return found
