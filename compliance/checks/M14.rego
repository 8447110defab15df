# What is granted is used.
package writ.checks.m14

import data.writ.checks.lib

f := input.facts.grants

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": (100 * f.unused) > (input.parameters.share * f.edges),
	"empty": f.edges == 0,
	"good": sprintf("%d of %s not used for %v days.", [f.unused, lib.amount(f.edges, "edge"), input.parameters.days]),
	"failed": sprintf("%d of %s not used for %v days, and may still be granted.", [f.unused, lib.amount(f.edges, "edge"), input.parameters.days]),
	"nothing": "Nothing was allowed yet.",
	"numerator": {"value": f.unused, "of": "edges unused"},
	"denominator": {"value": f.edges, "of": "edges that were ever allowed"},
	"threshold": sprintf("%v %%", [input.parameters.share]),
	"exclusions": lib.whole("grants"),
	"broken": ["grants.unused"],
	"kept": ["grants.used"],
})
