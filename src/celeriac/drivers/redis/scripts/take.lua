-- Take tokens from a bucket that fills with time.
--
-- KEYS  1 bucket: a hash of tokens and moment
-- ARGV  1 tokens   2 tokens per second   3 most tokens   4 now
-- Result: '0' when they were granted, else the seconds until they could be, as text.
-- Atomic. The bucket ends when it would be full again, since a missing bucket is a full one.
local wanted, rate, burst, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'moment')
local held = tonumber(state[1] or burst)
local since = math.max(0, now - tonumber(state[2] or now))
held = math.min(burst, held + since * rate)
if held >= wanted then
  held = held - wanted
  redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', held), 'moment', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], math.ceil((burst - held) / rate * 1000) + 1000)
  return '0'
end
return string.format('%.17g', (wanted - held) / rate)
