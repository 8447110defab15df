# Only readers who may read the log do.
package writ.checks.m17

import data.writ.checks.lib

bad := input.tallies.undeclared.count

total := bad + input.tallies.declared.count

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": bad > 0,
	"empty": total == 0,
	"good": sprintf("All %s were by declared readers.", [lib.amount(total, "reading")]),
	"failed": sprintf("%s by readers who are not declared.", [lib.amount(bad, "reading")]),
	"nothing": "Nobody read the audit store through one of its doors.",
	"numerator": {"value": bad, "of": "readings by undeclared readers"},
	"denominator": {"value": total, "of": "readings that were let"},
	"threshold": "0",
	"exclusions": lib.told([sprintf("%s that were refused", [lib.amount(input.tallies.refused.count, "attempt")])]),
	"broken": ["undeclared"],
	"kept": ["declared"],
})
