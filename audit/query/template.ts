/** A path with what differs from one thing to the next left out: `/accounts/7` and `/accounts/8` are one operation. */

const longest = 16

/** Numbers, UUIDs, and texts of hex or of letters and digits that nobody would make up. */
const varies =
  /^(?:\d+|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{12,}|(?=[^/]*\d)(?=[^/]*[a-z])[\w-]{16,})$/i

export function templateOf(path: string): string {
  const steps = path.split('/')
  const shown = steps.slice(0, longest).map((step) => (varies.test(step) ? '{}' : step))
  return steps.length > longest ? `${shown.join('/')}/\u2026` : shown.join('/')
}
