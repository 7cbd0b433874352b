-- Whether a number is that of a thread, or of a lineage. ARGV: number.
return redis.call('EXISTS', key('t', ARGV[1])) + redis.call('HEXISTS', H, 's' .. ARGV[1])
