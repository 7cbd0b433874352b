-- The threads of this home that have records of some runs. ARGV: runs, 8 bytes each.
local found = {}
for _, n in ipairs(threads()) do
  local there = false
  for _, run in ipairs(ARGV) do
    for _, kind in ipairs({'r', 'l'}) do
      local entries = redis.call('HGET', key('x', n), kind .. string.char(string.byte(run, 8) % 32)) or ''
      local at = string.find(entries, run, 1, true)
      while at and not there do
        there = at % 12 == 1
        at = string.find(entries, run, at + 1, true)
      end
    end
  end
  if there then
    found[#found + 1] = n
  end
end
return found
