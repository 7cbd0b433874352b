-- Shortens the way to where a name lives. ARGV: name key, <generation>:<home>.
local to = tonumber(string.match(ARGV[2], '^%d+'))
if not moved(ARGV[1], to - 1) then
  redis.call('HSET', base .. 'm', ARGV[1], ARGV[2])
end
return 1
