/**
 * Policy bindings: which rule of which bundle judges each inbound listener, and which of its routes another one. The
 * most specific target wins, as Gateway API attaches policies: a rule of a route, a route, a workload, a service.
 */

import { isWithin } from '../../core/input-body.ts'
import { stepsOf } from '../../core/personal.ts'
import type { PolicyRef, PolicyUse } from '../../core/policy.ts'
import { type RoutePolicy, type Service, usesOf, type Workload } from '../../core/snapshot.ts'
import { bodyUse, pathsOf } from './body.ts'
import { allowanceOf } from './http.ts'
import type { IngressWorld } from './ingress.ts'
import type { PolicyBindingSpec } from './kinds.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import { type Bound, type RouteWorld, routePoliciesOf, type Wrong, wrongGateway, wrongRoute } from './route-bindings.ts'
import { checkTokens, type ReadKeyFile, tokenUse } from './tokens.ts'
import { checkTrial, trialOf } from './trials.ts'
import { byText } from './words.ts'
import { type Judged, serviceOf } from './workloads.ts'

interface BindingsInput extends RouteWorld {
  readonly bindings: readonly Placed<PolicyBindingSpec>[]
  readonly bundles: readonly PolicyRef[] | 'any'
  /** Default files with keys are not looked at. */
  readonly readKeyFile?: ReadKeyFile | undefined
  /** Their bundles may come later; until then whoever binds them denies everything. */
  readonly sources: readonly Placed<unknown>[]
}

type Target = PolicyBindingSpec['targetRefs'][number]

export function resolveBindings(input: BindingsInput): {
  readonly policies: ReadonlyMap<string, Judged>
  /** What is asked about a gateway or one of its routes, the rule before the whole of it. */
  readonly policyOf: IngressWorld['policyOf']
  readonly problems: Problem[]
} {
  const problems: Problem[] = []
  /** By workload, by service, and by route with its rule; one for each. */
  const bound = new Map<string, Bound>()
  for (const binding of input.bindings) {
    problems.push(...checkBinding(binding, input))
    const use = useOf(binding, input.readKeyFile)
    for (const [index, target] of binding.spec.targetRefs.entries()) {
      const path: Path = ['spec', 'targetRefs', index]
      const wrong = wrongTarget(target, input)
      if (wrong) problems.push(problemAt(binding, [...path, wrong.field], wrong.problem, wrong.cure))
      const other = bound.get(keyOf(target))
      if (other) {
        const problem = `${textOf(target)} is bound by ${other.binding.label} already`
        problems.push(problemAt(binding, [...path, 'name'], problem, 'keep one: each place asks exactly one rule'))
      } else bound.set(keyOf(target), { binding, path, use })
    }
  }

  const policies = new Map<string, Judged>()
  for (const workload of input.workloads) {
    if (!workload.spec.inbound) continue
    const own = bound.get(keyOf({ kind: 'Workload', name: workload.name }))
    const policy = (own ?? bound.get(keyOf({ kind: 'Service', name: serviceOf(workload) })))?.use
    const { routes, problems: ofRoutes } = routePoliciesOf(workload, input, (route, rule) => {
      const section = bound.get(keyOf({ kind: 'HTTPRoute', name: route, sectionName: rule }))
      return section ?? bound.get(keyOf({ kind: 'HTTPRoute', name: route }))
    })
    problems.push(...ofRoutes)
    if (policy || routes.length > 0) policies.set(workload.name, judged(policy, routes))
    else {
      const problem = 'has no PolicyBinding: it denies everything'
      problems.push(problemAt(workload, ['spec', 'inbound'], problem, 'add one that names it', 'warning'))
    }
  }
  const policyOf: IngressWorld['policyOf'] = (kind, name, rule) =>
    ((rule !== undefined && bound.get(keyOf({ kind, name, sectionName: rule }))) || bound.get(keyOf({ kind, name })))
      ?.use
  for (const { spec, label, name, at } of input.workloads) {
    if (!spec.gateway || policyOf('Gateway', spec.gateway.name)) continue
    const problem = `Gateway ${spec.gateway.name} has no PolicyBinding: it denies what its routes do not bind`
    problems.push(
      problemAt({ label: label || name, at }, ['spec', 'gateway'], problem, 'add one that names it', 'warning'),
    )
  }
  return { policies, policyOf, problems }
}

const judged = (policy: PolicyUse | undefined, policies: readonly RoutePolicy[]): Judged => ({
  policy,
  ...(policies.length > 0 && { policies }),
})

/** A route has its name alone among those of both kinds. */
export const keyOf = ({ kind, name, sectionName = '' }: Target): string =>
  `${kind === 'GRPCRoute' ? 'HTTPRoute' : kind} ${name} ${sectionName}`

export const textOf = ({ kind, name, sectionName }: Target): string =>
  `${kind} ${name}${sectionName === undefined ? '' : `, rule ${sectionName},`}`

/** What is wrong with a place that something is attached to. */
export function wrongTarget(target: Target, input: RouteWorld): Wrong | undefined {
  const { kind, name } = target
  if (kind === 'HTTPRoute' || kind === 'GRPCRoute') return wrongRoute(target, input)
  if (kind === 'Gateway') return wrongGateway(target, input)
  if (target.group === 'gateway.networking.k8s.io') {
    return { field: 'group', problem: `a ${kind} is not of this group`, cure: 'remove it, or write writ.dev' }
  }
  if (target.sectionName !== undefined) {
    return { field: 'sectionName', problem: `a ${kind} has no sections`, cure: 'remove it' }
  }
  if (kind === 'ExternalService') {
    if (input.externals.some((one) => one.name === name)) return undefined
    return { field: 'name', problem: `there is no ExternalService ${name}`, cure: 'add it, or correct the name' }
  }
  const reached = input.workloads.some(
    (workload) => workload.spec.inbound && (kind === 'Workload' ? workload.name : serviceOf(workload)) === name,
  )
  if (reached) return undefined
  const known = kind === 'Workload' ? input.workloads.some((it) => it.name === name) : input.services.has(name)
  const problem = known ? `${kind} ${name} has no inbound listener here` : `there is no ${kind} ${name}`
  return { field: 'name', problem, cure: 'bind what listens, or correct the name' }
}

function checkBinding(binding: Placed<PolicyBindingSpec>, input: BindingsInput): Problem[] {
  const { bundle, shadow, canary, onFault } = binding.spec
  const problems = [...checkTrial(binding), ...checkTokens(binding, input.readKeyFile)]
  for (const [path, name] of [
    [['spec', 'bundle'], bundle],
    [['spec', 'shadow', 'bundle'], shadow?.bundle],
    [['spec', 'canary', 'bundle'], canary?.bundle],
  ] as const) {
    if (name !== undefined) problems.push(...checkBundle(binding, path, name, input))
  }
  if (binding.spec.record?.body && !binding.spec.body) {
    const cure = 'add spec.body, or take this out'
    problems.push(problemAt(binding, ['spec', 'record', 'body'], 'names members of a body that nobody reads', cure))
  }
  problems.push(...checkPersonal(binding))
  if (onFault === 'pass') {
    const problem = 'requests that cannot be judged pass'
    const cure = 'leave it out, unless this service must stay reachable when its policy fails'
    problems.push(problemAt(binding, ['spec', 'onFault'], problem, cure, 'warning'))
  }
  return problems
}

/** What is personal stands in a record as a digest and nowhere else. */
function checkPersonal(binding: Placed<PolicyBindingSpec>): Problem[] {
  const { record, body, tokens } = binding.spec
  const { personal = [], subject } = record ?? {}
  const problems: Problem[] = []
  for (const [index, field] of [...personal, ...(subject === undefined ? [] : [subject])].entries()) {
    const path: Path = index < personal.length ? ['spec', 'record', 'personal', index] : ['spec', 'record', 'subject']
    const of = field.startsWith('member ') ? record?.body : field.startsWith('claim ') ? record?.claims : undefined
    const within = pathsOf(of).some((kept) => isWithin(stepsOf(field), kept) || isWithin(kept, stepsOf(field)))
    if (within && index < personal.length) {
      const cure = 'name in body and claims what is not personal, member by member'
      problems.push(problemAt(binding, path, `${field} is recorded as it is, too`, cure))
    }
    const unread = (field.startsWith('member ') && !body) || (field.startsWith('claim ') && !tokens)
    if (unread)
      problems.push(problemAt(binding, path, `nobody reads what ${field} is of`, 'add spec.body or spec.tokens'))
  }
  return problems
}

function checkBundle(
  binding: Placed<PolicyBindingSpec>,
  path: Path,
  name: string,
  { bundles, sources }: BindingsInput,
): Problem[] {
  if (bundles === 'any') return []
  const nameable = new Set([...sources.map((source) => source.name), ...bundles.map(({ bundle }) => bundle)])
  if (nameable.has(name)) return []
  const there = [...nameable].sort(byText)
  const cure = there.length > 0 ? `build it, or use one of ${there.slice(0, 8).join(', ')}` : 'build it first'
  return [problemAt(binding, path, `there is no bundle ${name}`, cure)]
}

function useOf(binding: Placed<PolicyBindingSpec>, readKeyFile: ReadKeyFile | undefined): PolicyUse {
  const { spec } = binding
  const trial = trialOf(binding)
  const personal = [...new Set(spec.record?.personal ?? [])].sort(byText)
  return {
    bundle: spec.bundle,
    entrypoint: spec.entrypoint,
    recordHeaders: [...new Set((spec.record?.headers ?? []).map((name) => name.toLowerCase()))]
      .filter((name) => !personal.includes(`header ${name}`))
      .sort(byText),
    recordQuery: (spec.record?.query ?? false) && !personal.includes('query') && !personal.includes('path'),
    ...(personal.length > 0 && { personal }),
    ...(spec.record?.subject !== undefined && { subject: spec.record.subject }),
    ...bodyUse(spec.body, spec.record?.body),
    ...tokenUse(spec.tokens, spec.record?.claims, readKeyFile),
    ...(spec.explain && { explain: true }),
    ...(spec.http && { http: allowanceOf(spec.http) }),
    ...(spec.onFault === 'pass' && { onFault: 'pass' }),
    ...(trial && { trial }),
  }
}

/** Where a service's own records hold paths as digests, so do those of its callers, who write nothing else of a request. */
export function withSealing(service: Service, workloads: readonly Workload[]): Service {
  const listeners = workloads.flatMap((workload) => workload.listeners)
  const uses = listeners.flatMap((one) =>
    one.direction === 'inbound' && one.service === service.name ? usesOf(one) : [],
  )
  const sealed = uses.find(({ personal }) => personal?.includes('path'))
  if (!sealed) return service
  const { subject } = sealed
  return { ...service, sealing: { personal: ['path'], ...(subject !== undefined && { subject }) } }
}
