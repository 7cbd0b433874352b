-- Records by an index. ARGV: number, kind, keys of 8 bytes. Gives number and record of each, by number.
local seqs, seen, x = {}, {}, key('x', ARGV[1])
for i = 3, #ARGV do
  local entries = redis.call('HGET', x, ARGV[2] .. string.char(string.byte(ARGV[i], 8) % 32)) or ''
  local at = string.find(entries, ARGV[i], 1, true)
  while at do
    if at % 12 == 1 then
      local seq = struct.unpack('>I4', entries, at + 8)
      if not seen[seq] then
        seen[seq] = true
        seqs[#seqs + 1] = seq
      end
    end
    at = string.find(entries, ARGV[i], at + 1, true)
  end
end
table.sort(seqs)
local found = {}
for _, seq in ipairs(seqs) do
  found[#found + 1] = seq
  found[#found + 1] = redis.call('LINDEX', key('r', ARGV[1]), seq - 1)
end
return found
