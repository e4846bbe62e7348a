-- Puts a new value in the place of a bucket's epoch, if it is still what the caller saw, on the server where it was seen.
--
-- KEYS[1]  the epoch
-- ARGV     1 the value seen ('' for none), 2 the server's replication ID as seen ('' where it is not told), 3 the new
--          value, in which an '@' stands for the server's time (ms)
--
-- Returns  {what}
--   done        the new value is stored; also when it was before, for the driver repeats a call whose answer was late
--   changed     somebody else was faster, or the server forgot again; nothing was changed
local server = server_id()
local value = redis.call('GET', KEYS[1]) or ''
local wanted = string.gsub(string.gsub(ARGV[3], '%W', '%%%0'), '%%@', '%%d+')
if string.match(value, '^' .. wanted .. '$') and (server == '' or server == ARGV[2]) then
  return {'done'}
end
if value ~= ARGV[1] or (server ~= '' and server ~= ARGV[2]) then
  return {'changed'}
end
redis.call('SET', KEYS[1], (string.gsub(ARGV[3], '@', int(now_ms()))))
return {'done'}
