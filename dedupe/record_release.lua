-- Gives a claim back: the record becomes what it was before the claim, byte for byte.
--
-- KEYS[1]  the record
-- ARGV     1 token, 2 record TTL (ms)
--
-- Returns  {what}
--   released    it is what it was
--   kept        the token does not own it, or its lease has ended; nothing was changed. Others may have acted on a claim
--               that has ended: a rival was rejected for it
local raw = redis.call('GET', KEYS[1])
if not raw then
  return {'kept'}
end
local f = unpack_record(raw)
if f[VERSION] ~= FORMAT or f[STATE] ~= CLAIMED or f[TOKEN] ~= ARGV[1] or tonumber(f[LEASE]) <= now_ms() then
  return {'kept'}
end
if f.prev == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], f.prev, 'PX', ARGV[2])
end
return {'released'}
