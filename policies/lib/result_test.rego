package writ.lib.result_test

import data.writ.lib.result

test_an_answer_allows_by_true_alone if {
	result.answer(true, []) == {"allowed": true, "reasons": []}
	result.answer(false, {"b", "a"}) == {"allowed": false, "reasons": ["a", "b"]}
	result.answer("true", []).allowed == false
	result.answer(1, []).allowed == false
}

test_allow_and_deny_say_so if {
	result.allow(["noted"]) == {"allowed": true, "reasons": ["noted"]}
	result.deny(["no"]) == {"allowed": false, "reasons": ["no"]}
}

test_headers_are_beside_the_answer if {
	result.with_headers(result.allow([]), {"x-role": "clerk"}) == {"allowed": true, "reasons": [], "headers": {"x-role": "clerk"}}
	result.without_headers(result.allow([]), ["x-debug"]).request_headers_to_remove == ["x-debug"]
	not result.without_headers(result.deny([]), ["x-debug"])
}

test_a_refusal_may_have_its_own_status_and_body if {
	result.deny_with(["quota"], 429, "later") == {"allowed": false, "reasons": ["quota"], "http_status": 429, "body": "later"}
}
