# A token is used by one holder.
package writ.checks.m20

import data.writ.checks.lib

f := input.facts.tokens

none := {"verdict": "not-applicable", "finding": "No token was used."}

base := lib.answer({
	"fails": f.moved > 0,
	"empty": f.uses == 0,
	"good": sprintf("%s of %s, each by the holder that showed it first.", [lib.amount(f.uses, "use"), lib.amount(f.tokens, "token")]),
	"failed": sprintf("%s by a second holder.", [lib.amount(f.moved, "use")]),
	"nothing": none.finding,
	"numerator": {"value": f.moved, "of": "uses by a second holder"},
	"denominator": {"value": f.uses, "of": "uses of tokens"},
	"threshold": "0",
	"exclusions": array.concat(lib.told([sprintf("%s of a token without an id", [lib.amount(f.unnamed, "use")])]), lib.whole("tokens")),
	"broken": ["tokens.moved"],
	"kept": ["tokens.bound"],
})

# METADATA
# entrypoint: true
result := object.union(base, none) if f.uses + f.unnamed == 0

result := base if f.uses + f.unnamed > 0
