# What the rules of checks have in common: how numbers become a verdict.
package writ.checks.lib

# An answer with the verdict that follows from it. `fails`: a record breaks the rule. `empty`: there is nothing to
# measure. A log that does not verify gives no pass.
answer(said) := object.union(object.remove(said, ["fails", "empty", "good", "failed", "nothing"]), settled(said))

settled(said) := {"verdict": "fail", "finding": said.failed} if said.fails

settled(said) := {"verdict": "insufficient-data", "finding": said.nothing} if {
	not said.fails
	said.empty
}

settled(said) := {"verdict": "pass", "finding": said.good} if {
	not said.fails
	not said.empty
	input.sound
}

settled(said) := {
	"verdict": "insufficient-data",
	"finding": "The numbers are good, but the log they come from does not verify (see M09).",
} if {
	not said.fails
	not said.empty
	not input.sound
}

# `3 requests`, `1 request`.
amount(count, one) := sprintf("%d %s", [count, one]) if count == 1

amount(count, one) := sprintf("%d %ss", [count, one]) if count != 1

# What decisions were left out of the numbers, as every check on requests says.
aside := [
	sprintf("%s at outbound listeners, judged where the call arrives", [amount(input.facts.traffic.outbound, "decision")]),
	sprintf("%s of policies on trial, which changed nothing", [amount(input.facts.traffic.trial, "decision")]),
	sprintf("%s that OPA servers sent: no proxy saw those requests", [amount(input.facts.traffic.told, "decision")]),
]

# The lines that have something to tell: those that begin with 0 do not.
told(lines) := [line | some line in lines; not startswith(line, "0 ")]

whole(fact) := [] if input.facts[fact].whole

whole(fact) := ["There was more than is held at once: the numbers are a part"] if not input.facts[fact].whole
