# Without policy, identity or log nothing passes.
package writ.checks.m21

import data.writ.checks.lib

f := input.facts.drills

through := f.closedFailed + input.tallies.suppressed.count

default lacking := false

lacking if f.closedUntried > 0

lacking if f.closedTried == 0

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": through > 0,
	"empty": lacking,
	"good": sprintf("%s, and nothing was allowed.", [lib.amount(f.closedPassed, "drill")]),
	"failed": concat(", ", lib.told([
		sprintf("%s let something pass", [lib.amount(f.closedFailed, "drill")]),
		sprintf("%s in which something passed without a record", [lib.amount(input.tallies.suppressed.count, "outage")]),
	])),
	"nothing": nothing,
	"numerator": {"value": through, "of": "drills and outages in which something passed"},
	"denominator": {"value": (f.closedPassed + f.closedFailed) + input.tallies.suppressed.count, "of": "drills and outages"},
	"threshold": "0",
	"exclusions": lib.whole("drills"),
	"broken": ["drills.closedFailed", "suppressed"],
	"kept": ["drills.closedPassed"],
})

nothing := "No listener decided anything." if f.listeners == 0

nothing := sprintf("%d of %s had no drill.", [f.closedUntried, lib.amount(f.listeners, "listener")]) if f.listeners > 0
