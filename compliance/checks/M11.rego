# Records are kept long enough.
package writ.checks.m11

import data.writ.checks.lib

f := input.facts.retention

young if {
	f.ageDays < input.parameters.days
	f.pruned == 0
}

default lacking := false

lacking if f.ageDays == null

lacking if young

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": f.short,
	"empty": lacking,
	"good": sprintf("The first record is %v days old, and nothing younger than %v days was pruned.", [f.ageDays, input.parameters.days]),
	"failed": sprintf("Records only %v days old were pruned.", [f.keptDays]),
	"nothing": nothing,
	"numerator": {"value": kept, "of": "days that records were kept for"},
	"denominator": {"value": input.parameters.days, "of": "days asked for"},
	"threshold": sprintf("%v days", [input.parameters.days]),
	"exclusions": lib.told([sprintf("%s in force, which keep records for longer", [lib.amount(f.holds, "hold")])]),
	"broken": ["retention.pruned"],
	"kept": ["retention.oldest"],
})

kept := f.keptDays if f.keptDays != null

kept := f.ageDays if {
	f.keptDays == null
	f.ageDays != null
}

kept := 0 if {
	f.keptDays == null
	f.ageDays == null
}

nothing := "There is no record yet." if f.ageDays == null

nothing := sprintf("The log is %v days old, and nothing was pruned yet.", [f.ageDays]) if f.ageDays != null
