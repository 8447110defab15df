# METADATA
# title: Attributes
# description: |
#   Conditions over what is known of callers, of what they ask for, and of the request. `facts` is an object of such
#   objects, for instance `{"caller": …, "resource": …}`; a condition names an `attribute` in it by a path with slashes.
package writ.lib.abac

# METADATA
# description: What a directory, an object by name, knows of somebody; nothing of those it does not know.
# custom:
#   example: 'abac.attributes(data.shop.people, identity.caller).team == "billing"'
attributes(directory, name) := object.get(directory, name, {})

# METADATA
# description: Holds where every condition does, and where there is one at least.
# custom:
#   example: 'abac.all([{"attribute": "caller/team", "equals": "billing"}], facts)'
all(conditions, facts) if {
	count(conditions) > 0
	every condition in conditions {
		holds(condition, facts)
	}
}

# METADATA
# description: |
#   Holds where the attribute is there and one of these says so: `equals` a value, `in` a list, `not_in` a list, `at_least` or
#   `at_most` a number, `same_as` another attribute. A condition of two of them, or of none, holds never.
# custom:
#   example: 'abac.holds({"attribute": "caller/level", "at_least": 3}, facts)'
holds(condition, facts) if {
	[operator] = [name | some name, _ in condition; name != "attribute"]
	satisfied(operator, value(facts, condition.attribute), condition[operator], facts)
}

satisfied("equals", given, wanted, _) if given == wanted

satisfied("in", given, wanted, _) if given in wanted

satisfied("not_in", given, wanted, _) if {
	is_array(wanted)
	not given in wanted
}

satisfied("at_least", given, wanted, _) if {
	is_number(given)
	is_number(wanted)
	given >= wanted
}

satisfied("at_most", given, wanted, _) if {
	is_number(given)
	is_number(wanted)
	given <= wanted
}

satisfied("same_as", given, other, facts) if given == value(facts, other)

# METADATA
# description: Value of an attribute by its path; undefined where it is not there.
# custom:
#   example: 'abac.value(facts, "caller/team") == "billing"'
value(facts, path) := given if {
	absent := {"absent": true}
	given := object.get(facts, split(path, "/"), absent)
	given != absent
}
