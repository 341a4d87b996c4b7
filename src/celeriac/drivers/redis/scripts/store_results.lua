-- Write the states of tasks, each unless a more final one is there, and tell those who wait for it.
--
-- KEYS  results, each of which is also the name of a channel
-- ARGV  1 milliseconds to keep them ('' for ever), then for each key: its payload; whether the new state is an end: 1 or 0
-- Result: how many were written; the others were passed over.
-- Atomic.
local written = 0
for n, key in ipairs(KEYS) do
  written = written + store(key, ARGV[2 * n], ARGV[2 * n + 1], ARGV[1])
end
return written
