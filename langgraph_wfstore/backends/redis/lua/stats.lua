-- Counts of a part of a list. ARGV: 'r' or 'w', number, first, last. Gives how many elements there were, their bytes,
-- and per first byte (kind, or form), per second byte (state) of records, and of those that end a seal, how many.
local items = redis.call('LRANGE', key(ARGV[1], ARGV[2]), ARGV[3], ARGV[4])
local kinds, states, seals, bytes = {}, {}, 0, 0
for _, item in ipairs(items) do
  if item ~= '' then
    local kind, state = string.byte(item, 1) % 128, string.byte(item, 2)
    kinds[kind] = (kinds[kind] or 0) + 1
    bytes = bytes + #item
    if ARGV[1] == 'r' then
      states[state] = (states[state] or 0) + 1
      if bit.band(string.byte(item, 36), 2) ~= 0 then
        seals = seals + 1
      end
    end
  end
end
local flat = {}
for kind, count in pairs(kinds) do
  flat[#flat + 1] = kind
  flat[#flat + 1] = count
end
return {#items, bytes, seals, #items - (states[0] or 0), flat}
