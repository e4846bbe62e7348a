-- Gives the payment's lease up while the request waits; its amount stays as unknown if it may have been sent.
--
-- KEYS[1]  the payment (see payment_acquire.lua)
-- ARGV     1 token, 2 request ID, 3 TTL (ms), 4 minor units, 5 maybe sent (1 or 0)
--
-- Returns  {what}
--   done        always: whatever the token does not own was left alone
local token, rid = ARGV[1], ARGV[2]
local held = redis.call('HMGET', KEYS[1], ':t', rid)
local own = held[1] == token
local kind, _, holder, _ = parse_entry(held[2])
if own then
  redis.call('HDEL', KEYS[1], ':t', ':e')
end
if kind ~= 's' and (own or (kind == 'i' and holder == token)) then
  if ARGV[5] == '1' then
    redis.call('HSET', KEYS[1], rid, 'u' .. ARGV[4])
  else
    redis.call('HDEL', KEYS[1], rid)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'done'}
