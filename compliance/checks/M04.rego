# Certificates are short-lived and valid when used.
package writ.checks.m04

import data.writ.checks.lib

t := input.tallies

bad := ((t.long.count + t.outside.count) + t.unreadable.count) + t.late.count

only_tokens if {
	t.used.count == 0
	t.tokens.count > 0
}

base := lib.answer({
	"fails": bad > 0,
	"empty": t.used.count == 0,
	"good": sprintf("No certificate lived longer than %v h, and none was used outside its validity or too late.", [input.parameters.life]),
	"failed": concat(", ", lib.told([
		sprintf("%s of a certificate that lives longer than %v h", [lib.amount(t.long.count, "use"), input.parameters.life]),
		sprintf("%s allowed outside a certificate's validity", [lib.amount(t.outside.count, "request")]),
		sprintf("%s without readable validity", [lib.amount(t.unreadable.count, "record")]),
		sprintf("%s of a certificate after %v %% of its life", [lib.amount(t.late.count, "use"), input.parameters.renewed]),
	])),
	"nothing": "No certificate was seen in use.",
	"numerator": {"value": bad, "of": "uses outside the rule"},
	"denominator": {"value": t.used.count, "of": "uses of a certificate"},
	"threshold": sprintf("0; life at most %v h, renewed before %v %% of it", [input.parameters.life, input.parameters.renewed]),
	"exclusions": lib.told([sprintf("%s proven by a token and no certificate", [lib.amount(t.tokens.count, "request")])]),
	"broken": ["long", "outside", "unreadable", "late"],
	"kept": ["used"],
})

# METADATA
# entrypoint: true
result := object.union(base, {"verdict": "not-applicable", "finding": "All callers proved their names by tokens."}) if only_tokens

result := base if not only_tokens
