-- Stores a terminal outcome. A settled record never changes.
--
-- KEYS[1]  the record
-- KEYS[2]  the outcome's bytes
-- KEYS[3]  the command's message, which nobody needs any more
-- KEYS[4]  the bucket's schedule (record_wait.lua)
-- KEYS[#]  the bucket's epoch, the last of all
-- ARGV     1 token, 2 proof (1 or 0), 3 record TTL (ms), 4 outcome TTL (ms), 5 the outcome's bytes, 6 status,
--          7 code, as they are packed, 8 first seen (ms, 0 unknown), 9 payment digest, 10 request ID, 11 longest lease
--          (ms), 12... fingerprint version and digest, in pairs, newest first
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
  if tonumber(ARGV[8]) == 0 then
    ARGV[8] = int(now_ms())
  end
  f = {[FPV] = ARGV[12], [FP] = ARGV[13], [PAY] = ARGV[9], [FIRST] = ARGV[8]}
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
  if proof and compare_fingerprint(f, 12, ARGV[9]) ~= 'same' then
    -- Another command owns the ID, but it is this one whose money has moved.
    f[FPV], f[FP], f[PAY] = ARGV[12], ARGV[13], ARGV[9]
  end
end

local settled = pack_settled(f, ARGV[6], ARGV[7], f[FIRST])
-- The bytes first: a record that says settled must never be without them.
redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[4])
redis.call('SET', KEYS[1], settled, 'PX', ARGV[3])
if own and f.prev == '' and f[HOP] == '0' then
  -- Settled in its first pass: it has never waited, so there is no message and no place on the schedule.
else
  redis.call('DEL', KEYS[3])
  if own then
    redis.call('ZREM', KEYS[4], ARGV[10])
  else
    -- Whoever took the request over may have been done with it, so if this process dies before it has published, nobody
    -- comes by again. It stays on the schedule until a signal has published it.
    redis.call('ZADD', KEYS[4], int(now_ms() + tonumber(ARGV[11])), ARGV[10])
  end
end
return {'mine', settled, ''}
