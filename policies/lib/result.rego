# METADATA
# title: The answer
# description: |
#   Makes the object that a proxy reads: `allowed`, and `reasons` that stand in the record and that `writ explain` shows. At
#   most 16 reasons of 256 characters are kept.
package writ.lib.result

# METADATA
# description: An answer with its reasons, a set or a list of texts. Allows by `true` alone.
# custom:
#   example: 'result.answer(false, {"no edge allows it"})'
answer(allowed, reasons) := {"allowed": allowed == true, "reasons": [reason | some reason in reasons]}

# METADATA
# description: Allows, with reasons if there is something to note.
# custom:
#   example: 'result.allow([])'
allow(reasons) := answer(true, reasons)

# METADATA
# description: Refuses, with reasons.
# custom:
#   example: 'result.deny(["orders may not do this"])'
deny(reasons) := answer(false, reasons)

# METADATA
# description: |
#   The answer with headers: of an answer that allows, they go to the workload in place of the caller's own; of one that
#   refuses, to the caller.
# custom:
#   example: 'result.with_headers(result.allow([]), {"x-role": "clerk"})'
with_headers(made, headers) := object.union(made, {"headers": headers})

# METADATA
# description: Removes headers of the caller before the workload sees the request. Only of an answer that allows.
# custom:
#   example: 'result.without_headers(result.allow([]), ["x-debug"])'
without_headers(made, names) := object.union(made, {"request_headers_to_remove": names}) if made.allowed

# METADATA
# description: Refuses with a status and a body of its own, in place of 403 and the usual one.
# custom:
#   example: 'result.deny_with(["the quota is used up"], 429, "come back later")'
deny_with(reasons, status, body) := object.union(deny(reasons), {"http_status": status, "body": body})
