# Clocks are right, and outsiders date the log.
package writ.checks.m12

import data.writ.checks.lib

f := input.facts.clock

skewed := max([f.aheadProducers, f.findings])

stale if f.anchorAgeMinutes > input.parameters.anchor

default apart := false

apart if f.unstampedMinutes > input.parameters.gap

default fails := false

fails if skewed > 0

fails if stale

fails if apart

default lacking := false

lacking if f.producers == 0

lacking if f.anchors == 0

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": fails,
	"empty": lacking,
	"good": sprintf("No clock is off by more than %v ms, and the log was dated from outside %v minutes before the end.", [input.parameters.skew, f.anchorAgeMinutes]),
	"failed": concat(", ", array.concat(array.concat(
		lib.told([sprintf("%s off by more than %v ms", [lib.amount(skewed, "clock"), input.parameters.skew])]),
		[line | apart; line := sprintf("for %v minutes no authority stamped the log", [f.unstampedMinutes])]),
		[line | stale; line := sprintf("the last date from outside is %v minutes old", [f.anchorAgeMinutes])],
	)),
	"nothing": nothing,
	"numerator": {"value": skewed, "of": "producers whose clock is off"},
	"denominator": {"value": f.producers, "of": "producers"},
	"threshold": sprintf("%v ms; a date from outside at most %v minutes old, and time stamps at most %v minutes apart", [input.parameters.skew, input.parameters.anchor, input.parameters.gap]),
	"exclusions": lib.whole("clock"),
	"broken": ["clock.ahead", "clock.told"],
	"kept": ["clock.punctual"],
})

nothing := "No producer recorded anything that can be compared." if f.producers == 0

nothing := "Nobody outside dated the log: there is neither a time stamp nor a witness's word." if f.producers > 0
