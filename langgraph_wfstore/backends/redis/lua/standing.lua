-- How a thread stands. ARGV: number, ttl.
local found = standing(ARGV[1])
if found then
  touch(tonumber(ARGV[2]))
end
return found
