-- Stores a terminal outcome. A settled record never changes.
--
-- KEYS[1]  the record
-- KEYS[2]  the outcome's bytes
-- KEYS[3]  the command's message, which nobody needs any more
-- KEYS[4]  the bucket's schedule (record_wait.lua)
-- KEYS[#]  the bucket's epoch, the last of all
-- ARGV     1 token, 2 proof (1 or 0), 3 record TTL (ms), 4 outcome TTL (ms), 5 the outcome's bytes, 6 status,
--          7 code, 8 gateway refund ID, 9 first seen (ms, 0 unknown), 10 hop, 11 attempt, 12 payment digest,
--          13 request ID, 14 longest lease (ms), 15... fingerprint version and digest, in pairs, newest first
--
-- Returns  {what, packed record, outcome's bytes}
--   forgot      alone: as in record_claim.lua. What was settled and published before may be gone, and must come back
--               first, or two outcomes of one request would differ
--   mine        these bytes are now stored
--   settled     it was settled before; the bytes stored then
--   tombstone   it was settled before; the bytes have expired
--   lost        without proof, and the token does not own the record; or the record is of a format not known here
if not epoch() then
  return {'forgot'}
end
local token, proof = ARGV[1], ARGV[2] == '1'
local raw = redis.call('GET', KEYS[1])
local f, own

if not raw then
  if not proof then
    return {'lost', '', ''}
  end
  if tonumber(ARGV[9]) == 0 then
    ARGV[9] = int(now_ms())
  end
  f = {[FPV] = ARGV[15], [FP] = ARGV[16], [PAY] = ARGV[12],
       [HOP] = ARGV[10], [ATTEMPT] = ARGV[11], [FIRST] = ARGV[9], [REFUND] = ''}
else
  f = unpack_record(raw)
  if f[VERSION] ~= FORMAT then
    return {'lost', raw, ''}
  end
  if f[STATE] == SETTLED then
    local outcome = redis.call('GET', KEYS[2])
    if outcome then
      return {'settled', raw, outcome}
    end
    return {'tombstone', raw, ''}
  end
  own = f[STATE] == CLAIMED and f[TOKEN] == token
  if not proof and not own then
    return {'lost', raw, ''}
  end
  if proof and compare_fingerprint(f, 15, ARGV[12]) ~= 'same' then
    -- Another command owns the ID, but it is this one whose money has moved.
    f[FPV], f[FP], f[PAY] = ARGV[15], ARGV[16], ARGV[12]
  end
end

local refund = ARGV[8]
if refund == '' then
  refund = f[REFUND]
end
local settled = pack_record({
  FORMAT, SETTLED, f[FPV], f[FP], f[PAY], ARGV[6], ARGV[7], f[HOP], f[ATTEMPT], f[FIRST], refund, prev = '',
})
-- The bytes first: a record that says settled must never be without them.
redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[4])
redis.call('SET', KEYS[1], settled, 'PX', ARGV[3])
redis.call('DEL', KEYS[3])
if own then
  redis.call('ZREM', KEYS[4], ARGV[13])
else
  -- Whoever took the request over may have been done with it, so if this process dies before it has published, nobody
  -- comes by again. It stays on the schedule until a signal has published it.
  redis.call('ZADD', KEYS[4], int(now_ms() + tonumber(ARGV[14])), ARGV[13])
end
return {'mine', settled, ''}
