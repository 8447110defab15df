# The log was not changed.
package writ.checks.m09

import data.writ.checks.lib

f := input.facts.log

unwitnessed if {
	f.witnessesAsked
	f.witnessed == 0
}

bad := f.broken + (f.drawn - f.proven)

default fails := false

fails if bad > 0

fails if unwitnessed

told := sprintf("%d broken, the first: %s", [f.broken, f.firstBroken]) if f.broken > 0

told := sprintf("%d drawn leaves did not lead to the root", [f.drawn - f.proven]) if {
	f.broken == 0
	f.drawn > f.proven
}

told := "no checkpoint has the quorum of witnesses that was asked for" if bad == 0

word := sprintf("%d of %d checkpoints had the quorum of witnesses.", [f.witnessed, f.checkpoints]) if f.witnessesAsked

word := "No witness was asked for: a second log shown to somebody else would not be noticed." if not f.witnessesAsked

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": fails,
	"empty": f.leaves == 0,
	"good": sprintf("All %d leaves hash to the signed root.", [f.leaves]),
	"failed": sprintf("%s.", [told]),
	"nothing": "The log is empty.",
	"numerator": {"value": f.proven, "of": "drawn leaves that led to the signed root"},
	"denominator": {"value": f.drawn, "of": "leaves drawn"},
	"threshold": "100 %, and nothing broken in the verification",
	"exclusions": [word, trust],
	"broken": ["log.changed"],
	"kept": ["log.proven"],
})

trust := "Roots of trust were given by whoever made this report" if f.pinned

trust := "Roots of trust were taken from the log itself" if not f.pinned
