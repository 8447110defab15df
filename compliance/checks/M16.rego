# What was odd was looked at, in time, by a person.
package writ.checks.m16

import data.writ.checks.lib

f := input.facts.review

settled := f.inTime + f.late

none := {"verdict": "not-applicable", "finding": "Nothing odd was found in the time."}

base := lib.answer({
	"fails": f.late > 0,
	"empty": settled == 0,
	"good": sprintf("All %s answered within %v h, by %s.", [lib.amount(f.inTime, "finding"), input.parameters.hours, lib.amount(f.persons, "person")]),
	"failed": sprintf("%s not answered within %v h.", [lib.amount(f.late, "finding"), input.parameters.hours]),
	"nothing": sprintf("%s still have time.", [lib.amount(f.waiting, "finding")]),
	"numerator": {"value": f.inTime, "of": "findings answered in time"},
	"denominator": {"value": settled, "of": "findings"},
	"threshold": sprintf("100 %% within %v h", [input.parameters.hours]),
	"exclusions": array.concat(lib.told([sprintf("%s whose time is not over", [lib.amount(f.waiting, "finding")])]), lib.whole("review")),
	"broken": ["review.late"],
	"kept": ["review.inTime"],
})

# METADATA
# entrypoint: true
result := object.union(base, none) if f.findings == 0

result := base if f.findings > 0
