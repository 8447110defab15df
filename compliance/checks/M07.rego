# Each decision names a policy that is on record.
package writ.checks.m07

import data.writ.checks.lib

f := input.facts.policies

bad := input.tallies.unnamed.count + f.unknownUses

total := input.tallies.named.count + input.tallies.unnamed.count

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": bad > 0,
	"empty": total == 0,
	"good": sprintf("All %s name a policy, and all %d revisions are on record.", [lib.amount(total, "decision"), f.seen]),
	"failed": concat(", ", lib.told([
		sprintf("%s without a revision and digest", [lib.amount(input.tallies.unnamed.count, "decision")]),
		sprintf("%s by a revision that no policy record announced.", [lib.amount(f.unknownUses, "decision")]),
	])),
	"nothing": "No decision was made by a policy.",
	"numerator": {"value": max([total - bad, 0]), "of": "decisions by a policy that is on record"},
	"denominator": {"value": total, "of": "decisions by policies"},
	"threshold": "100 %",
	"exclusions": array.concat(lib.told(lib.aside), lib.whole("policies")),
	"broken": ["unnamed", "policies.unannounced"],
	"kept": ["named"],
})
