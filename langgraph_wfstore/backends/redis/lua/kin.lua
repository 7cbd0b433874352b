-- The rows of the threads that share a lineage. ARGV: lineage.
local found = {}
for _, n in ipairs(threads()) do
  if redis.call('HGET', key('t', n), 'l') == ARGV[1] then
    found[#found + 1] = row(n)
  end
end
return found
