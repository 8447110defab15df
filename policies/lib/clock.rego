# METADATA
# title: When it is asked
# description: |
#   Windows of time. The time is the request's own, so that a replay a year later answers as it was answered then.
package writ.lib.clock

# METADATA
# description: |
#   Holds within opening hours: `zone` (such as Europe/Berlin), `days` (Monday to Sunday), `from` and `until` as HH:MM
#   (until 24:00 at most, and not over midnight), and `holidays`, days as YYYY-MM-DD on which it never holds. All five must
#   be given, and be what they should: a holiday that is no date keeps it shut.
# custom:
#   example: 'clock.open({"zone": "Europe/Berlin", "days": ["Monday"], "from": "09:00", "until": "17:30", "holidays": []})'
open(hours) if {
	every day in hours.holidays {
		regex.match(`^\d{4}-\d{2}-\d{2}$`, day)
	}
	is_array(hours.holidays)
	not date(hours.zone) in hours.holidays
	now := time.now_ns()
	time.weekday([now, hours.zone]) in hours.days
	[hour, minute, _] := time.clock([now, hours.zone])
	since_midnight := (hour * 60) + minute
	since_midnight >= minutes(hours.from)
	since_midnight < minutes(hours.until)
}

# METADATA
# description: Day of the request in a zone, as YYYY-MM-DD.
# custom:
#   example: 'clock.date("UTC") == "2026-03-01"'
date(zone) := sprintf("%04d-%02d-%02d", time.date([time.now_ns(), zone]))

minutes(text) := (to_number(substring(text, 0, 2)) * 60) + to_number(substring(text, 3, 2)) if {
	regex.match(`^([01][0-9]|2[0-3]):[0-5][0-9]$`, text)
}

minutes("24:00") := 1440

# METADATA
# description: Holds from one moment (RFC 3339) on, and before another.
# custom:
#   example: 'clock.between("2026-03-01T08:00:00Z", "2026-03-01T12:00:00Z")'
between(from, until) if {
	now := time.now_ns()
	now >= time.parse_rfc3339_ns(from)
	now < time.parse_rfc3339_ns(until)
}

# METADATA
# description: |
#   Holds between two moments that are no more than some hours apart: what is given for a time is not given for ever.
# custom:
#   example: 'clock.boxed(grant.from, grant.until, 8)'
boxed(from, until, hours) if {
	between(from, until)
	time.parse_rfc3339_ns(until) - time.parse_rfc3339_ns(from) <= (hours * 3600) * 1000000000
}
