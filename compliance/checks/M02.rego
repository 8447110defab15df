# Nobody enters without a verified identity.
package writ.checks.m02

import data.writ.checks.lib

bad := input.tallies.unproven.count

total := bad + input.tallies.proven.count

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": bad > input.parameters.allowed,
	"empty": total == 0,
	"good": "Every request that was allowed came from a verified identity.",
	"failed": sprintf("%s allowed without one.", [lib.amount(bad, "request")]),
	"nothing": "No request was allowed at an inbound listener.",
	"numerator": {"value": bad, "of": "allowed without a verified identity"},
	"denominator": {"value": total, "of": "allowed requests"},
	"threshold": sprintf("%v", [input.parameters.allowed]),
	"exclusions": lib.told(lib.aside),
	"broken": ["unproven"],
	"kept": ["proven"],
})
