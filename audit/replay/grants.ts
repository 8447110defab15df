/** Which grants of a policy's data were used: its edges, and its roles. */

import { isObject, type Json } from '../../core/json.ts'
import { isNamed } from '../../core/spiffe.ts'
import { fits } from './patterns.ts'

export interface Use {
  /** SPIFFE ids. */
  readonly from: string
  readonly to: string
  readonly method: string
  readonly steps: readonly string[]
  readonly time: string
}

export type Grant =
  | { readonly kind: 'edge'; readonly at: string; readonly text: string }
  | { readonly kind: 'role'; readonly at: string; readonly text: string }

export type GrantUse = Grant & {
  readonly count: number
  /** Time of the last use that was seen; null where there was none. */
  readonly last: string | null
}

interface Rule {
  readonly from: string
  readonly to: string | undefined
  readonly method: string
  readonly path: readonly string[]
}

/** `from`: to whom it is granted. */
type Counted = {
  readonly grant: Grant
  readonly from: string
  readonly rules: readonly Rule[]
  count: number
  last: string | null
}

/** Deepest object that is looked into for `edges` and `rbac`. */
const maxDepth = 6

export class Grants {
  readonly #all: Counted[] = []
  readonly #byCaller = new Map<string, Counted[]>()

  constructor(data: Json) {
    this.#find(data, '', undefined, 0)
  }

  /** How many there are; none where the data has neither shape. */
  get size(): number {
    return this.#all.length
  }

  saw({ from, to, method, steps, time }: Use): void {
    for (const caller of namesOf(from)) {
      for (const counted of this.#byCaller.get(caller) ?? []) {
        const used = counted.rules.some(
          (rule) =>
            rule.method === method &&
            (rule.to === undefined || namesOf(to).includes(rule.to)) &&
            fits(rule.path, steps),
        )
        if (!used) continue
        counted.count++
        if (counted.last === null || time > counted.last) counted.last = time
      }
    }
  }

  /** Whether a grant was not used yet that calls of this kind, by whatever path, could use. */
  isOpen({ from, to, method }: Pick<Use, 'from' | 'to' | 'method'>): boolean {
    const targets = namesOf(to)
    return namesOf(from).some((caller) =>
      (this.#byCaller.get(caller) ?? []).some(
        ({ count, rules }) =>
          count === 0 &&
          rules.some((rule) => rule.method === method && (rule.to === undefined || targets.includes(rule.to))),
      ),
    )
  }

  /** All, or those of one caller: a SPIFFE id, or the end of its path. */
  list(caller?: string): readonly GrantUse[] {
    const own = this.#all.filter(({ from }) => caller === undefined || isNamed(from, caller))
    return own.map(({ grant, count, last }) => ({ ...grant, count, last }))
  }

  #find(value: Json | undefined, at: string, above: string | undefined, depth: number): void {
    if (!isObject(value) || depth > maxDepth) return
    const domain = typeof value['trust_domain'] === 'string' ? value['trust_domain'] : above
    for (const [name, member] of Object.entries(value)) {
      const here = at === '' ? name : `${at}.${name}`
      if (Array.isArray(member)) this.#edges(member as readonly Json[], here, domain)
      else if (isObject(member) && isObject(member['roles']) && isObject(member['grants'])) {
        this.#roles(member, here, domain)
      } else this.#find(member, here, domain, depth + 1)
    }
  }

  #edges(list: readonly Json[], at: string, domain: string | undefined): void {
    for (const [i, edge] of list.entries()) {
      const { from, to, method, path } = isObject(edge) ? edge : {}
      const steps = stepsOf(path)
      if (typeof from !== 'string' || typeof to !== 'string' || typeof method !== 'string' || !steps) continue
      const text = `${from} may ${method} /${steps.join('/')} at ${to}`
      const rules = [{ from: wholeName(from, domain), to: wholeName(to, domain), method, path: steps }]
      this.#add({
        grant: { kind: 'edge', at: `${at}[${i}]`, text },
        from: wholeName(from, domain),
        rules,
        count: 0,
        last: null,
      })
    }
  }

  #roles(model: { readonly [name: string]: Json | undefined }, at: string, domain: string | undefined): void {
    const { roles, grants, routes } = model
    for (const [who, granted] of Object.entries(grants as { readonly [name: string]: Json })) {
      for (const role of Array.isArray(granted) ? (granted as readonly Json[]) : []) {
        if (typeof role !== 'string' || !isObject(roles)) continue
        const permissions = Object.hasOwn(roles, role) ? roles[role] : undefined
        const rules = rulesOf(wholeName(who, domain), permissions, routes, domain)
        const grant = { kind: 'role', at: `${at}.grants.${who}`, text: `${who} has the role ${role}` } as const
        this.#add({ grant, from: wholeName(who, domain), rules, count: 0, last: null })
      }
    }
  }

  #add(counted: Counted): void {
    this.#all.push(counted)
    for (const from of new Set(counted.rules.map((rule) => rule.from))) {
      const list = this.#byCaller.get(from)
      if (list) list.push(counted)
      else this.#byCaller.set(from, [counted])
    }
  }
}

/** What a role lets a caller ask for: the routes whose permission it has. */
function rulesOf(
  from: string,
  permissions: Json | undefined,
  routes: Json | undefined,
  domain: string | undefined,
): readonly Rule[] {
  if (!Array.isArray(permissions) || !Array.isArray(routes)) return []
  return (routes as readonly Json[]).flatMap((route) => {
    const { permission, method, path, to } = isObject(route) ? route : {}
    const steps = stepsOf(path)
    if (!(permissions as readonly Json[]).includes(permission!) || typeof method !== 'string' || !steps) return []
    return [{ from, to: typeof to === 'string' ? wholeName(to, domain) : undefined, method, path: steps }]
  })
}

/** A path as a list of steps or as a text, as `http.matches` takes it. */
function stepsOf(path: Json | undefined): readonly string[] | undefined {
  if (typeof path === 'string') return path.startsWith('/') ? path.slice(1).split('/') : undefined
  if (!Array.isArray(path) || !path.every((step) => typeof step === 'string')) return undefined
  return path as readonly string[]
}

/** Names stand within the trust domain that the data names; without one, a name is good for any. */
const wholeName = (name: string, domain: string | undefined): string =>
  name.startsWith('spiffe://') || domain === undefined ? name : `spiffe://${domain}/${name}`

/** A whole id, and the name within its trust domain. */
function namesOf(id: string): readonly string[] {
  const cut = id.indexOf('/', 'spiffe://'.length)
  return cut < 0 ? [id] : [id, id.slice(cut + 1)]
}
