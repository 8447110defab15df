# Only declared flows cross zones.
package writ.checks.m15

import data.writ.checks.lib

t := input.tallies

total := (t.undeclared.count + t.declared.count) + t.same.count

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": t.undeclared.count > input.parameters.allowed,
	"empty": total == 0,
	"good": sprintf("%s crossed zones, all along declared flows.", [lib.amount(t.declared.count, "request")]),
	"failed": sprintf("%s crossed zones where no flow is declared.", [lib.amount(t.undeclared.count, "request")]),
	"nothing": "No request was allowed between workloads whose zones are declared.",
	"numerator": {"value": t.undeclared.count, "of": "allowed requests along undeclared flows"},
	"denominator": {"value": total, "of": "allowed requests between workloads of declared zones"},
	"threshold": sprintf("%v", [input.parameters.allowed]),
	"exclusions": lib.told([sprintf("%s from or to a workload that is in no zone", [lib.amount(t.unzoned.count, "request")])]),
	"broken": ["undeclared"],
	"kept": ["declared", "same"],
})
