# Records say who, what, when, where from and with which outcome.
package writ.checks.m10

import data.writ.checks.lib

bad := input.tallies.lacking.count

total := bad + input.tallies.whole.count

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": (100 * (total - bad)) < (input.parameters.share * total),
	"empty": total == 0,
	"good": "Every decision's record has all of them.",
	"failed": sprintf("%s without one of them or more.", [lib.amount(bad, "record")]),
	"nothing": "No decision was recorded.",
	"numerator": {"value": total - bad, "of": "records with all members"},
	"denominator": {"value": total, "of": "records of decisions at inbound listeners"},
	"threshold": sprintf("%v %%", [input.parameters.share]),
	"exclusions": lib.told([sprintf("%s whose input was too large and is kept as its digest", [lib.amount(input.tallies.digest.count, "record")])]),
	"broken": ["lacking"],
	"kept": ["whole"],
})
