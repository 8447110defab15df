# Policy changes were approved by somebody else and tested.
package writ.checks.m13

import data.writ.checks.lib

f := input.facts.changes

none := {"verdict": "not-applicable", "finding": "No revision was put in force in the time."}

base := lib.answer({
	"fails": f.unapproved > 0,
	"empty": f.changes == 0,
	"good": sprintf("All %s approved by somebody other than the author, with tests passed.", [lib.amount(f.changes, "revision")]),
	"failed": sprintf("%s put in force without such an approval; of %d nothing is declared at all.", [lib.amount(f.unapproved, "revision"), f.undeclared]),
	"nothing": none.finding,
	"numerator": {"value": f.approved, "of": "revisions approved"},
	"denominator": {"value": f.changes, "of": "revisions put in force"},
	"threshold": "100 %",
	"exclusions": lib.whole("changes"),
	"broken": ["changes.unapproved"],
	"kept": ["changes.approved"],
})

# METADATA
# entrypoint: true
result := object.union(base, none) if f.changes == 0

result := base if f.changes > 0
