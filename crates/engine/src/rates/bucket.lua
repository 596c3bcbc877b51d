-- The arithmetic of bucket.rs over all rates of a request: all is taken or nothing.
--
-- KEYS: one bucket each, the microsecond since 1970 at which it is full again; absent: it is full.
-- ARGV: the present microsecond, or 0 for the time of this server; then for each bucket interval, limit and cost.
-- Answers {0, then left and microseconds until full for each}, or {n, microseconds to wait} when the n-th bucket
-- has to wait the longest.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local missing, refused, longest = {}, 0, 0
for n, key in ipairs(KEYS) do
  local interval, limit, cost = tonumber(ARGV[n * 3 - 1]), tonumber(ARGV[n * 3]), tonumber(ARGV[n * 3 + 1])
  missing[n] = math.max(tonumber(redis.call('GET', key) or 0) - now, 0)
  if missing[n] > 61000000 then
    -- Longer than any bucket takes to fill: it was taken before the clock was set back.
    missing[n] = 0
  end
  local wait = missing[n] - interval * math.max(limit - cost, 0)
  if wait > 0 and wait >= longest then
    refused, longest = n, wait
  end
end
if refused > 0 then
  return { refused, longest }
end
local answer = { 0 }
for n, key in ipairs(KEYS) do
  local interval, limit, cost = tonumber(ARGV[n * 3 - 1]), tonumber(ARGV[n * 3]), tonumber(ARGV[n * 3 + 1])
  if cost > 0 then
    missing[n] = missing[n] + interval * cost
    -- A bucket that is full again is the same as none; a minute more allows for clocks that are corrected.
    redis.call('SET', key, string.format('%.0f', now + missing[n]), 'PX', math.ceil(missing[n] / 1000) + 60000)
  end
  answer[#answer + 1] = math.floor(math.max(interval * limit - missing[n], 0) / interval)
  answer[#answer + 1] = missing[n]
end
return answer
