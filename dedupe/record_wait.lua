-- Puts a claimed record to waiting, or into review.
--
-- KEYS[1]  the record
-- KEYS[2]  the command's message, kept for as long as the request is open: what a signal works with
-- KEYS[3]  the bucket's schedule: a sorted set of the open request IDs by when they are looked at without their copy
-- KEYS[#]  the bucket's epoch, the last of all
-- ARGV     1 token, 2 hop, 3 attempt, 4 maybe sent (0, 1 or 2, see common.lua), 5 code, 6 due (ms), 7 gateway refund ID, 8 via,
--          9 review (1 or 0), 10 record TTL (ms), 11 request ID, 12 the message, 13 scheduled for (ms, 0: never),
--          14 maybe sent since (ms, 0: not known)
--
-- Returns  {what}
--   forgot      as in record_claim.lua
--   stored      it waits, or is in review, under this token and hop; also when it did so before
--   lost        the token does not own it, or the hop does not lead on from the record's
if not epoch() then
  return {'forgot'}
end
local token, hop = ARGV[1], tonumber(ARGV[2])
local raw = redis.call('GET', KEYS[1])
if not raw then
  return {'lost'}
end
local f = unpack_record(raw)
if f[VERSION] ~= FORMAT or f[STATE] == SETTLED or f[TOKEN] ~= token then
  return {'lost'}
end
if f[STATE] ~= CLAIMED then
  if tonumber(f[HOP]) == hop then
    return {'stored'}
  end
  return {'lost'}
end
if hop <= tonumber(f[HOP]) then
  return {'lost'}
end
f[STATE] = WAITING
if ARGV[9] == '1' then
  f[STATE] = REVIEW
end
f[LEASE], f[HOP], f[ATTEMPT] = '0', ARGV[2], ARGV[3]
if f[MAYBE] ~= '2' then
  f[MAYBE] = ARGV[4]
end
f[CODE], f[DUE], f[VIA], f[SENT], f.prev = ARGV[5], ARGV[6], ARGV[8], ARGV[14], ''
if ARGV[7] ~= '' then
  f[REFUND] = ARGV[7]
end
redis.call('SET', KEYS[1], pack_record(f), 'PX', ARGV[10])
redis.call('SET', KEYS[2], ARGV[12], 'PX', ARGV[10])
if ARGV[13] == '0' then
  redis.call('ZREM', KEYS[3], ARGV[11])
else
  redis.call('ZADD', KEYS[3], ARGV[13], ARGV[11])
end
return {'stored'}
