-- Global: a number for a new thread, and its place in the list of threads. KEYS: the last number, the list. ARGV: home.
-- The clock is in it, in microseconds, so that no number comes twice where a failover has lost the last ones.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local number = string.format('%.0f', math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0') + 1))
redis.call('SET', KEYS[1], number)
redis.call('ZADD', KEYS[2], number, number .. ':' .. ARGV[1])
return number
