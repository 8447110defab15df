/** Policy bindings: which rule of which bundle judges each inbound listener. */

import type { PolicyRef, PolicyUse } from '../../core/policy.ts'
import type { PolicyBindingSpec, WorkloadSpec } from './kinds.ts'
import { type Path, type Placed, type Problem, problemAt } from './problem.ts'
import type { KnownService } from './services.ts'
import { byText } from './words.ts'
import { serviceOf } from './workloads.ts'

export function resolveBindings(input: {
  readonly bindings: readonly Placed<PolicyBindingSpec>[]
  readonly workloads: readonly Placed<WorkloadSpec>[]
  readonly services: ReadonlyMap<string, KnownService>
  readonly bundles: readonly PolicyRef[] | 'any'
  /** Their bundles may come later; until then whoever binds them denies everything. */
  readonly sources: readonly Placed<unknown>[]
}): { readonly policies: ReadonlyMap<string, PolicyUse>; readonly problems: Problem[] } {
  const problems: Problem[] = []
  const bound = new Map<string, { readonly use: PolicyUse; readonly by: string }>()
  const nameable = new Set(input.sources.map(({ name }) => name))
  for (const ref of input.bundles === 'any' ? [] : input.bundles) nameable.add(ref.bundle)
  for (const binding of input.bindings) {
    if (input.bundles !== 'any' && !nameable.has(binding.spec.bundle)) {
      const there = [...nameable].sort(byText)
      const cure = there.length > 0 ? `build it, or use one of ${there.slice(0, 8).join(', ')}` : 'build it first'
      problems.push(problemAt(binding, ['spec', 'bundle'], `there is no bundle ${binding.spec.bundle}`, cure))
    }
    for (const [index, target] of binding.spec.targetRefs.entries()) {
      const path: Path = ['spec', 'targetRefs', index, 'name']
      const reached = input.workloads.filter(
        (workload) =>
          workload.spec.inbound && (target.kind === 'Workload' ? workload.name : serviceOf(workload)) === target.name,
      )
      if (reached.length === 0) {
        const known =
          target.kind === 'Workload'
            ? input.workloads.some((workload) => workload.name === target.name)
            : input.services.has(target.name)
        const problem = known
          ? `${target.kind} ${target.name} has no inbound listener here`
          : `there is no ${target.kind} ${target.name}`
        problems.push(problemAt(binding, path, problem, 'bind what listens, or correct the name'))
      }
      for (const { name } of reached) {
        const other = bound.get(name)
        if (other) {
          const problem = `Workload ${name} is bound by ${other.by} already`
          problems.push(problemAt(binding, path, problem, 'keep one: a listener asks exactly one rule'))
        } else bound.set(name, { use: useOf(binding.spec), by: binding.label })
      }
    }
  }
  for (const workload of input.workloads) {
    if (!workload.spec.inbound || bound.has(workload.name)) continue
    const problem = 'has no PolicyBinding: it denies everything'
    problems.push(problemAt(workload, ['spec', 'inbound'], problem, 'add one that names it', 'warning'))
  }
  return { policies: new Map([...bound].map(([name, { use }]) => [name, use])), problems }
}

const useOf = (spec: PolicyBindingSpec): PolicyUse => ({
  bundle: spec.bundle,
  entrypoint: spec.entrypoint,
  recordHeaders: [...new Set((spec.record?.headers ?? []).map((name) => name.toLowerCase()))].sort(byText),
  recordQuery: spec.record?.query ?? false,
  ...(spec.explain === true ? { explain: true } : {}),
})
