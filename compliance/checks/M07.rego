# Each decision names a policy that is on record.
package writ.checks.m07

import data.writ.checks.lib

f := input.facts.policies

bad := input.tallies.unnamed.count + f.unknownUses

# Revisions whose signature nobody checked, where that is asked for.
default unsigned := 0

unsigned := f.seen - f.signed if (100 * f.signed) < (input.parameters.signed * f.seen)

total := input.tallies.named.count + input.tallies.unnamed.count

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": bad + unsigned > 0,
	"empty": total == 0,
	"good": sprintf("All %s name a policy, and all %d revisions are on record, %d of them with a signature that was checked.", [lib.amount(total, "decision"), f.seen, f.signed]),
	"failed": concat(", ", lib.told([
		sprintf("%s without a revision and digest", [lib.amount(input.tallies.unnamed.count, "decision")]),
		sprintf("%s by a revision that no policy record announced", [lib.amount(f.unknownUses, "decision")]),
		sprintf("%s without a signature that was checked, of %d in use", [lib.amount(unsigned, "revision"), f.seen]),
	])),
	"nothing": "No decision was made by a policy.",
	"numerator": {"value": max([total - bad, 0]), "of": "decisions by a policy that is on record"},
	"denominator": {"value": total, "of": "decisions by policies"},
	"threshold": threshold,
	"exclusions": array.concat(lib.told(lib.aside), lib.whole("policies")),
	"broken": array.concat(["unnamed", "policies.unannounced"], [name | unsigned > 0; name := "policies.unsigned"]),
	"kept": ["named"],
})

threshold := "100 %" if input.parameters.signed == 0

threshold := sprintf("100 %%, and %v %% of the revisions signed", [input.parameters.signed]) if input.parameters.signed > 0
