package writ.lib.abac_test

import data.writ.lib.abac

facts := {"caller": {"team": "billing", "level": 3}, "resource": {"owner": "billing", "state": "open"}}

holds(condition) if abac.holds(condition, facts)

test_what_is_known_of_somebody_is_nothing_for_others if {
	abac.attributes({"web": {"team": "shop"}}, "web") == {"team": "shop"}
	abac.attributes({"web": {"team": "shop"}}, "other") == {}
}

test_each_operator_holds_on_its_side_only if {
	holds({"attribute": "caller/team", "equals": "billing"})
	not holds({"attribute": "caller/team", "equals": "shop"})
	holds({"attribute": "caller/team", "in": ["billing", "shop"]})
	not holds({"attribute": "caller/team", "in": ["shop"]})
	holds({"attribute": "caller/team", "not_in": ["shop"]})
	not holds({"attribute": "caller/team", "not_in": ["billing"]})
	not holds({"attribute": "caller/team", "not_in": "shop"})
	holds({"attribute": "caller/level", "at_least": 3})
	not holds({"attribute": "caller/level", "at_least": 4})
	holds({"attribute": "caller/level", "at_most": 3})
	not holds({"attribute": "caller/level", "at_most": 2})
	holds({"attribute": "resource/owner", "same_as": "caller/team"})
	not holds({"attribute": "resource/state", "same_as": "caller/team"})
}

test_numbers_are_compared_with_numbers_only if {
	not holds({"attribute": "caller/team", "at_least": 1})
	not holds({"attribute": "caller/level", "at_least": "1"})
	not holds({"attribute": "caller/team", "at_most": "z"})
	not holds({"attribute": "caller/level", "at_most": "z"})
}

test_an_attribute_that_is_not_there_satisfies_nothing if {
	not holds({"attribute": "caller/name", "not_in": ["ada"]})
	not holds({"attribute": "caller/name", "same_as": "resource/name"})
	not abac.value(facts, "caller/name")
	abac.value(facts, "caller/level") == 3
}

test_a_condition_of_two_operators_or_of_none_holds_never if {
	not holds({"attribute": "caller/team", "equals": "billing", "in": ["billing"]})
	not holds({"attribute": "caller/team"})
	not holds({"attribute": "caller/team", "like": "billing"})
	not holds({"equals": "billing"})
}

test_all_conditions_must_hold_and_there_must_be_one if {
	one := {"attribute": "caller/team", "equals": "billing"}
	abac.all([one, {"attribute": "resource/state", "equals": "open"}], facts)
	not abac.all([one, {"attribute": "resource/state", "equals": "shut"}], facts)
	not abac.all([], facts)
}
