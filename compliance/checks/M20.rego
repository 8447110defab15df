# A token is used by one holder.
package writ.checks.m20

import data.writ.checks.lib

f := input.facts.tokens

none := {"verdict": "not-applicable", "finding": "No token was used."}

# Uses of tokens that are bound to no certificate, where that is asked for.
default loose := 0

loose := f.uses - f.own if (100 * f.own) < (input.parameters.bound * f.uses)

base := lib.answer({
	"fails": f.moved + loose > 0,
	"empty": f.uses == 0,
	"good": sprintf("%s of %s, each by the holder that showed it first; %d bound to the caller’s certificate.", [lib.amount(f.uses, "use"), lib.amount(f.tokens, "token"), f.own]),
	"failed": concat(", ", lib.told([
		sprintf("%s by a second holder", [lib.amount(f.moved, "use")]),
		sprintf("%s not bound to the caller’s certificate", [lib.amount(loose, "use")]),
	])),
	"nothing": none.finding,
	"numerator": {"value": f.moved, "of": "uses by a second holder"},
	"denominator": {"value": f.uses, "of": "uses of tokens"},
	"threshold": threshold,
	"exclusions": array.concat(lib.told([sprintf("%s of a token without an id", [lib.amount(f.unnamed, "use")])]), lib.whole("tokens")),
	"broken": array.concat(["tokens.moved"], [name | loose > 0; name := "tokens.free"]),
	"kept": ["tokens.bound"],
})

# METADATA
# entrypoint: true
result := object.union(base, none) if f.uses + f.unnamed == 0

result := base if f.uses + f.unnamed > 0

threshold := "0" if input.parameters.bound == 0

threshold := sprintf("0, and %v %% of the uses bound", [input.parameters.bound]) if input.parameters.bound > 0
