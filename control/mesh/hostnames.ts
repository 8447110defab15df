/** How the host names of listeners and routes meet (Gateway API, HTTPRouteSpec.hostnames). */

const isWildcard = (host: string): boolean => host.startsWith('*.')

/** Whether every host of `narrow` is one of `wide`, and it is another pattern. */
export const covers = (wide: string, narrow: string): boolean =>
  isWildcard(wide) && narrow !== wide && narrow.endsWith(wide.slice(1)) && narrow.length > wide.length - 1

/** What both hold; undefined where they have no host in common. */
export function meet(one: string, other: string): string | undefined {
  if (one === other || covers(other, one)) return one
  return covers(one, other) ? other : undefined
}

/** What a listener serves of a route: what its host name and the route's have in common. Without any, its own. */
export const servedOf = (hostname: string, hostnames: readonly string[] | undefined): readonly string[] =>
  hostnames ? hostnames.flatMap((one) => meet(hostname, one) ?? []) : [hostname]
