-- Global: a number for a new thread, and its place in the list of threads. KEYS: the last number, the list. ARGV: home.
-- Numbers count up. A failover may lose the last ones, which threads in other slots have by then; so where another
-- server, or the same one after a restart, goes on, it does so from the clock in microseconds, which nobody reached.
local last, server = string.match(redis.call('GET', KEYS[1]) or '0:', '^(%d+):(.*)$')
local info = redis.pcall('INFO', 'replication')
local now_server = type(info) == 'string' and string.match(info, 'master_replid:(%w+)') or ''
local number = tonumber(last) + 1
if now_server == '' or (server ~= '' and server ~= now_server) then
  local time = redis.call('TIME')
  number = math.max(number, tonumber(time[1]) * 1000000 + tonumber(time[2]))
end
number = string.format('%.0f', number)
redis.call('SET', KEYS[1], number .. ':' .. now_server)
redis.call('ZADD', KEYS[2], number, number .. ':' .. ARGV[1])
return number
