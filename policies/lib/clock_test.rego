package writ.lib.clock_test

import data.writ.lib.clock

hours := {
	"zone": "Europe/Berlin",
	"days": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"],
	"from": "08:00",
	"until": "18:30",
	"holidays": ["2026-12-25"],
}

open(moment) if clock.open(hours) with time.now_ns as time.parse_rfc3339_ns(moment)

open_by(changed, moment) if {
	clock.open(object.union(hours, changed)) with time.now_ns as time.parse_rfc3339_ns(moment)
}

test_open_from_its_first_minute_to_before_its_last if {
	not open("2026-11-23T07:59:59.999+01:00")
	open("2026-11-23T08:00:00+01:00")
	open("2026-11-23T18:29:59+01:00")
	not open("2026-11-23T18:30:00+01:00")
}

test_the_zone_decides_summer_and_winter if {
	open("2026-07-06T06:00:00Z")
	not open("2026-07-06T05:59:00Z")
	open("2026-11-23T07:00:00Z")
	not open("2026-11-23T06:59:00Z")
}

test_closed_on_other_days_and_on_holidays if {
	not open("2026-11-22T12:00:00+01:00")
	open("2026-12-24T12:00:00+01:00")
	not open("2026-12-25T12:00:00+01:00")
}

test_until_may_be_midnight_but_not_over_it if {
	open_by({"until": "24:00"}, "2026-11-23T23:59:00+01:00")
	not open_by({"from": "22:00", "until": "06:00"}, "2026-11-23T23:00:00+01:00")
}

test_what_is_missing_or_wrong_keeps_it_shut if {
	every member in ["zone", "days", "from", "until", "holidays"] {
		without := object.remove(hours, [member])
		not clock.open(without) with time.now_ns as time.parse_rfc3339_ns("2026-11-23T12:00:00+01:00")
	}
	every wrong in [{"from": "8:00"}, {"from": "08:60"}, {"until": "25:00"}, {"holidays": ["25.12.2026"]}, {"holidays": "2026-12-25"}, {"holidays": {"a": "2026-12-25"}}, {"days": []}] {
		not open_by(wrong, "2026-11-23T12:00:00+01:00")
	}
}

test_a_day_is_that_of_its_zone if {
	clock.date("UTC") == "2026-03-01" with time.now_ns as time.parse_rfc3339_ns("2026-03-01T23:30:00Z")
	clock.date("Europe/Berlin") == "2026-03-02" with time.now_ns as time.parse_rfc3339_ns("2026-03-01T23:30:00Z")
}

from := "2026-03-01T08:00:00Z"

until := "2026-03-01T12:00:00Z"

test_between_begins_with_its_first_moment_and_ends_before_its_last if {
	clock.between(from, until) with time.now_ns as time.parse_rfc3339_ns(from)
	clock.between(from, until) with time.now_ns as time.parse_rfc3339_ns(until) - 1
	not clock.between(from, until) with time.now_ns as time.parse_rfc3339_ns(from) - 1
	not clock.between(from, until) with time.now_ns as time.parse_rfc3339_ns(until)
}

test_a_box_is_no_longer_than_it_may_be if {
	clock.boxed(from, until, 4) with time.now_ns as time.parse_rfc3339_ns(from)
	not clock.boxed(from, until, 3) with time.now_ns as time.parse_rfc3339_ns(from)
	not clock.boxed(from, until, 4) with time.now_ns as time.parse_rfc3339_ns(until)
}
