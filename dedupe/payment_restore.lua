-- Puts back a request's entry in its payment. Leases are left alone.
--
-- KEYS[1]  the payment (see payment_acquire.lua)
-- ARGV     1 request ID, 2 kind: 's' settled as success, 'u' unknown, 'd' declined, 3 minor units, 4 TTL (ms)
--
-- Returns  {what}
--   done        always: a success stays one, and an entry that is there already is not made unknown
local rid, result = ARGV[1], ARGV[2]
local held = redis.call('HMGET', KEYS[1], rid, ':d')
local kind = parse_entry(held[1])
if result == 's' then
  redis.call('HSET', KEYS[1], rid, 's' .. ARGV[3])
elseif result == 'u' then
  if kind == '' then
    redis.call('HSET', KEYS[1], rid, 'u' .. ARGV[3])
  end
elseif kind ~= 's' then
  redis.call('HDEL', KEYS[1], rid)
  local declined = rid
  if held[2] and held[2] ~= rid then
    declined = '*'
  end
  redis.call('HSET', KEYS[1], ':d', declined)
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'done'}
