-- Marks the time in a bucket that has not forgotten. Whatever the server did before a mark that survives has survived
-- too: the append-only file and the replicas take writes in order.
--
-- KEYS[1]  the bucket's beat
-- KEYS[2]  its epoch
--
-- Returns  {what}
--   done        the beat is the server's time
--   forgot      the bucket has forgotten, and its beat is left as the last one of the epoch before
if not epoch() then
  return {'forgot'}
end
redis.call('SET', KEYS[1], int(now_ms()))
return {'done'}
