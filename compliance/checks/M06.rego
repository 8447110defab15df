# What nobody allowed is refused.
package writ.checks.m06

import data.writ.checks.lib

d := input.facts.drills

loose := input.tallies.faultPassed.count + input.tallies.byNone.count

failed := concat(", ", lib.told([
	sprintf("%s let an unknown caller in", [lib.amount(d.denyFailed, "drill")]),
	sprintf("%s passed because a binding says onFault: pass and no policy could tell", [lib.amount(input.tallies.faultPassed.count, "request")]),
	sprintf("%s allowed by no policy", [lib.amount(input.tallies.byNone.count, "request")]),
]))

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": (d.denyFailed + loose) > 0,
	"empty": lacking,
	"good": sprintf("An unknown caller was refused at all %d listeners, and whatever was allowed was allowed by a policy.", [d.listeners]),
	"failed": sprintf("%s.", [failed]),
	"nothing": nothing,
	"numerator": {"value": d.listeners - d.denyUntried, "of": "listeners that refused an unknown caller"},
	"denominator": {"value": d.listeners, "of": "listeners that decided anything"},
	"threshold": "100 %, and nothing allowed without a policy's yes",
	"exclusions": lib.told(array.concat(
		[sprintf("%s that an allowing policy answered", [lib.amount(input.tallies.byPolicy.count, "request")])],
		lib.aside,
	)),
	"broken": ["drills.denyFailed", "faultPassed", "byNone"],
	"kept": ["drills.denyPassed", "byPolicy"],
})

default lacking := false

lacking if d.denyUntried > 0

lacking if d.listeners == 0

nothing := "No listener decided anything." if d.listeners == 0

nothing := sprintf("%d of %s were not tried with an unknown caller.", [d.denyUntried, lib.amount(d.listeners, "listener")]) if d.listeners > 0
