# Refused attempts are on record, with a reason.
package writ.checks.m19

import data.writ.checks.lib

bad := input.tallies.unexplained.count

refused := input.tallies.explained.count + input.facts.traffic.refusals

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": bad > 0,
	"empty": refused == 0,
	"good": sprintf("%s on record, each with its reason.", [lib.amount(refused, "refused attempt")]),
	"failed": sprintf("%s without a reason.", [lib.amount(bad, "refused attempt")]),
	"nothing": "No refused attempt is on record, so that none would be seen is not ruled out.",
	"numerator": {"value": refused, "of": "refused attempts with a reason"},
	"denominator": {"value": refused + bad, "of": "refused attempts"},
	"threshold": "100 %, and at least one",
	"exclusions": lib.told(lib.aside),
	"broken": ["unexplained"],
	"kept": ["explained"],
})
