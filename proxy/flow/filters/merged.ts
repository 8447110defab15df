/** What a route changes, and then what one of its backends changes besides (Gateway API HTTPBackendRef.filters). */

import type { HeaderChanges, RouteFilters } from '../../../core/filters.ts'

/** Undefined where neither changes anything. */
export function merged(
  route: RouteFilters | undefined,
  own: Pick<RouteFilters, 'request' | 'response'> | undefined,
): RouteFilters | undefined {
  if (!own) return route
  const request = own.request && after(route?.request, own.request)
  const response = own.response && after(route?.response, own.response)
  return { ...route, ...(request && { request }), ...(response && { response }) }
}

/** One set of changes that does what the first and then the second do. */
export function after(first: HeaderChanges | undefined, second: HeaderChanges): HeaderChanges {
  if (!first) return second
  const [set, add] = [{ ...first.set }, { ...first.add }]
  const remove = new Set(first.remove)
  for (const name of second.remove ?? []) {
    delete set[name]
    delete add[name]
    remove.add(name)
  }
  for (const [name, value] of Object.entries(second.set ?? {})) {
    delete add[name]
    remove.delete(name)
    set[name] = value
  }
  for (const [name, value] of Object.entries(second.add ?? {})) {
    const before = set[name] ?? (remove.has(name) ? '' : undefined)
    if (before === undefined) add[name] = add[name] === undefined ? value : `${add[name]}, ${value}`
    else {
      // Beside what stands there by then, which is not what the caller sent.
      remove.delete(name)
      set[name] = before === '' ? value : `${before}, ${value}`
    }
  }
  return { set, add, remove: [...remove] }
}
