# METADATA
# title: How much a caller may
# description: |
#   A policy sees one request and remembers none, so it cannot count. It says which class a caller is of and what that
#   class may; whoever counts, a limit before it or the workload behind it, reads that from a header that the policy sets.
#   `rates` is an object of `classes` (name to `requests` and `seconds`), `callers` (SPIFFE id to class) and `default`, the
#   class of everyone else; without `default` everyone else has none.
package writ.lib.rate

# METADATA
# description: Class of a caller, one that is among the classes.
# custom:
#   example: 'rate.class(data.shop.rates, identity.caller) == "gold"'
class(rates, caller) := name if {
	name := object.get(rates.callers, caller, rates["default"])
	rates.classes[name]
} else := name if {
	name := rates.callers[caller]
	rates.classes[name]
}

# METADATA
# description: What a caller may, as `requests` in `seconds`.
# custom:
#   example: 'rate.limit(data.shop.rates, identity.caller).requests == 100'
limit(rates, caller) := rates.classes[class(rates, caller)]

# METADATA
# description: |
#   Headers for the result's `headers`: `x-rate-class`, and `x-rate-limit` as draft-ietf-httpapi-ratelimit-headers writes a
#   quota, `100;w=60`. What the caller itself sends by these names is replaced.
# custom:
#   example: 'result.with_headers(answer, rate.headers(data.shop.rates, identity.caller))'
headers(rates, caller) := {"x-rate-class": name, "x-rate-limit": sprintf("%d;w=%d", [quota.requests, quota.seconds])} if {
	name := class(rates, caller)
	quota := limit(rates, caller)
}
