-- What wrk asks for. WRIT_BENCH_REPEATED is the share of requests, 0 to 1, whose path was asked for before.
-- A hundred paths repeat; every other one is new. The last line of the output is read by load.ts.

-- WRIT_BENCH_PATH is the one path asked for in place of those; WRIT_BENCH_RENEWS wants a new connection for each request;
-- WRIT_BENCH_WAIT_MS is the mean of the time that a connection waits before it asks again.

local repeated = tonumber(os.getenv("WRIT_BENCH_REPEATED") or "1")
local path = os.getenv("WRIT_BENCH_PATH")
local wait = tonumber(os.getenv("WRIT_BENCH_WAIT_MS") or "0")
local count, known = 0, {}

local headers = {
  ["Host"] = "orders.bank.internal",
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  ["Accept"] = "application/json",
  ["Accept-Encoding"] = "gzip, deflate, br",
  ["Accept-Language"] = "en-GB,en;q=0.8",
}

if os.getenv("WRIT_BENCH_RENEWS") then headers["Connection"] = "close" end

function init()
  for i = 1, 100 do known[i] = wrk.format("GET", path or "/orders/known-" .. i, headers) end
end

-- From nothing to twice the mean, so that connections do not ask in step.
if wait > 0 then
  function delay() return math.random(0, math.floor(2 * wait)) end
end

-- Steps of the golden ratio spread new paths evenly, with no clock and no luck in it.
function request()
  count = count + 1
  if path or (count * 0.6180339887498949) % 1 < repeated then return known[count % 100 + 1] end
  return wrk.format("GET", "/orders/new-" .. count, headers)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"durationUs":%d,"errors":%d,"p50Us":%d,"p99Us":%d,"p999Us":%d}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
