-- Runs that were deleted. ARGV: ttl, hashes.
for i = 2, #ARGV do
  redis.call('HSET', H, 'd' .. ARGV[i], '1')
end
touch(tonumber(ARGV[1]))
return 1
