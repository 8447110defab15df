/** Policies that no proxy can ask, entry points that no test asks, and packages that the manifest leaves out. */

import { isObject, type Json } from '../../core/json.ts'
import { type Finding, finding } from './finding.ts'
import { entryGroups, type LintPolicy, reached } from './policy.ts'
import { testGroups } from './unused.ts'

export function findEntrypoints(policy: LintPolicy): readonly Finding[] {
  const [first] = policy.modules.filter(({ isTest }) => !isTest)
  if (policy.entrypoints.length === 0) {
    if (!first) return []
    const cure = 'put `# METADATA` and `# entrypoint: true` above the rule that proxies ask'
    return [finding('no-entrypoint', first.packagePlace, 'no rule is an entry point', cure)]
  }
  const asked = reached(policy, testGroups(policy))
  return entryGroups(policy).flatMap((group) => {
    const placed = group.rules.find(({ module }) => !module.isTest)
    if (!placed || asked.has(group)) return []
    const cure = 'write one in a file called *_test.rego, or make one of a recorded call: writ policy test --from ID'
    return [finding('untested-entrypoint', placed.rule.place, `no test asks ${placed.rule.name}`, cure)]
  })
}

/** `manifest` is the `.manifest` as JSON; undefined where there is none, and then every package is within. */
export function findOutsideRoots(policy: LintPolicy, manifest: Json | undefined): readonly Finding[] {
  const roots = isObject(manifest) ? manifest['roots'] : undefined
  if (!Array.isArray(roots)) return []
  const within = (path: string): boolean =>
    (roots as readonly Json[]).some((root) => {
      const at = typeof root === 'string' ? root.replace(/^\/|\/$/g, '') : undefined
      return at !== undefined && (at === '' || path === at || path.startsWith(`${at}/`))
    })
  return policy.modules.flatMap((module) => {
    const path = module.package.join('/')
    if (within(path)) return []
    const cure = "add it to the roots in .manifest, or put the file's package below one of them"
    return [
      finding(
        'outside-roots',
        module.packagePlace,
        `the package ${path.replaceAll('/', '.')} is outside of the roots`,
        cure,
      ),
    ]
  })
}
