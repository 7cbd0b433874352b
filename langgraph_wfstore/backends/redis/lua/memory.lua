-- Bytes that a thread, and its lineage, take in memory. ARGV: number, lineage, whether to count the lineage and the home.
local total = 0
local function add(name)
  total = total + (redis.call('MEMORY', 'USAGE', name, 'SAMPLES', '0') or 0)
end
for _, kind in ipairs({'t', 'r', 'x', 'o'}) do
  add(key(kind, ARGV[1]))
end
if ARGV[3] == '1' then
  add(key('w', ARGV[2]))
  add(key('g', ARGV[2]))
  add(H)
end
return total
