-- Where the thread of a number stands. ARGV: number, ttl.
local found = row(ARGV[1])
if found then
  touch(tonumber(ARGV[2]))
end
return found
