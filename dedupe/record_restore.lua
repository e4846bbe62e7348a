-- Puts back what a published outcome tells of its request. It may be repeated, and run beside owners of claims: theirs
-- are taken away only by what is newer than they are.
--
-- KEYS[1]  the record
-- KEYS[2]  the outcome's bytes
-- KEYS[3]  the command's message (record_wait.lua)
-- KEYS[4]  the bucket's schedule (record_wait.lua)
-- ARGV     1 state ('s', 'w' or 'r'), 2 fingerprint version (0: none known), 3 its digest, 4 payment digest, 5 token,
--          6 hop, 7 attempt, 8 account, 9 gateway key, 10 gateway refund ID, 11 first seen (ms), 12 code, 13 due (ms),
--          14 status, it and the code of a settled one as they are packed, 15 the outcome's bytes, 16 record TTL (ms), 17 outcome TTL (ms, 0: the bytes have expired),
--          18 request ID, 19 scheduled for (ms), if it waits
--
-- Returns  {what, packed record}
--   restored    the record is now what the event says
--   kept        the record is settled, or as far as the event or further, or of a format not known here
local raw = redis.call('GET', KEYS[1])
local f = raw and unpack_record(raw)
if f and (f[VERSION] ~= FORMAT or f[STATE] == SETTLED) then
  return {'kept', raw}
end
local first = ARGV[11]
if f then
  first = earlier(f[FIRST], first)
end

local restored
if ARGV[1] == SETTLED then
  -- Over whatever is not settled: its outcome has been published, so no other may be.
  restored = pack_settled({[FPV] = ARGV[2], [FP] = ARGV[3], [PAY] = ARGV[4]}, ARGV[14], ARGV[12], first)
  if ARGV[17] ~= '0' then
    redis.call('SET', KEYS[2], ARGV[15], 'PX', ARGV[17])
  end
  redis.call('DEL', KEYS[3])
  redis.call('ZREM', KEYS[4], ARGV[18])
elseif f and tonumber(f[HOP]) >= tonumber(ARGV[6]) then
  return {'kept', raw}
else
  -- Maybe sent, whatever the event knew: passes after it may have sent, and every one of them published less.
  local mark = '1'
  if f and f[MAYBE] == '2' then
    mark = '2'
  end
  restored = pack_record({
    FORMAT, ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], '0', ARGV[6], ARGV[7], mark, f and f[TAKEOVERS] or '0',
    ARGV[8], ARGV[9], ARGV[10], first, ARGV[12], ARGV[13], '', '0', prev = '',
  })
  if ARGV[1] == WAITING then
    redis.call('ZADD', KEYS[4], ARGV[19], ARGV[18])
  else
    redis.call('ZREM', KEYS[4], ARGV[18])
  end
end
redis.call('SET', KEYS[1], restored, 'PX', ARGV[16])
return {'restored', restored}
