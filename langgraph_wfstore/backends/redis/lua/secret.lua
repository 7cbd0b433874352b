-- Global: the secret of the store; the first one that is offered stays. KEYS: the secret. ARGV: one that is offered.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
