/** From a mesh file to the snapshot that proxies run. Read this file first. Pure: the same text gives the same snapshot. */

import type { PolicyDataVersion, PolicyRef } from '../../core/policy.ts'
import type { Sha256 } from '../../core/ports.ts'
import { auditDefaults, type MeshSnapshot, snapshotVersion } from '../../core/snapshot.ts'
import { parseTrustDomain } from '../../core/spiffe.ts'
import { resolveBindings, withSealing } from './bindings.ts'
import { externalProblems, throughGateways, withOutside } from './external.ts'
import { accessProblems } from './findings.ts'
import { isIngress } from './gateway.ts'
import { checkGateways } from './gateways.ts'
import { asHttpRoutes, grpcRouteProblems } from './grpc-routes.ts'
import { ingressProblems, namedSections, withGateway } from './ingress.ts'
import type { MeshSpec } from './kinds.ts'
import { nameSnapshot } from './name.ts'
import { dataUsesOf, policyDataOf } from './policy-data.ts'
import { policySourcesOf } from './policy-sources.ts'
import { byPlace, type Placed, type Problem, problemAt } from './problem.ts'
import { quarantineFrom } from './quarantine.ts'
import { type MeshDocuments, readDocuments } from './read.ts'
import { identityOfMesh } from './registration.ts'
import { checkRouteFilters } from './route-filters.ts'
import { resolveRoutes } from './routes.ts'
import { kinds } from './schema.ts'
import { bundlesOf } from './scope.ts'
import { resolveServices } from './services.ts'
import { type MeshSettings, settingsOf } from './settings.ts'
import { withSources } from './sources.ts'
import { asTcp, detectedServices, tcpProblems, tcpServices } from './tcp.ts'
import { resolveTlsRoutes } from './tls-routes.ts'
import type { ReadKeyFile } from './tokens.ts'
import { tracingOf } from './tracing.ts'
import { resolveTraffic, withLimits, withTraffic } from './traffic-targets.ts'
import { byText } from './words.ts'
import { checkWorkloads, identityOf, serviceOf, workloadOf } from './workloads.ts'

export type Compiled =
  | {
      readonly ok: true
      readonly snapshot: MeshSnapshot
      readonly settings: MeshSettings
      readonly warnings: readonly Problem[]
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

export interface World {
  /** The newest version of every bundle that can be bound; `any` where the reader serves none and does not ask. */
  readonly bundles: readonly PolicyRef[] | 'any'
  readonly sha256: Sha256
  /** The newest version of data beside the bundles, where there is one yet. Default none. */
  readonly data?: readonly PolicyDataVersion[]
  /** Content of a file with an issuer's keys, as a document names it. Default such files are not looked at. */
  readonly readKeyFile?: ReadKeyFile
  /** Verifier key of the log, once it is known. */
  readonly logKey?: string
}

export function compileMesh(text: string, world: World): Compiled {
  const { found, problems } = readDocuments(text)
  problems.push(...checkNames(found))
  const mesh = theMesh(found.Mesh, problems)
  // What cannot be read would only be missed again by everything that names it.
  if (!mesh || problems.length > 0) return { ok: false, problems: problems.sort(byPlace) }

  const trustDomain = parseTrustDomain(mesh.spec.trustDomain)!
  const { settings, problems: ofSettings } = settingsOf(mesh)
  const { services, problems: ofServices } = resolveServices({
    services: found.Service,
    workloads: found.Workload,
    trustDomain,
  })
  const ofMesh = new Map(services)
  const externals = found.ExternalService
  for (const service of throughGateways(externals, found.Workload, trustDomain)) {
    if (!services.has(service.name)) services.set(service.name, { service, port: 80 })
  }
  const parts = {
    externals,
    routes: [...found.HTTPRoute, ...asHttpRoutes(found.GRPCRoute)],
    gateways: found.Gateway,
    workloads: found.Workload,
    services,
  }
  const {
    routes: resolved,
    entered: ofGateways,
    problems: ofRoutes,
  } = resolveRoutes({ ...parts, routeFilters: found.RouteFilter })
  const {
    policies,
    policyOf,
    problems: ofBindings,
  } = resolveBindings({
    ...parts,
    trustDomain,
    resolved,
    bindings: found.PolicyBinding,
    bundles: world.bundles,
    readKeyFile: world.readKeyFile,
    sources: found.PolicySource,
  })
  const { policySources, problems: ofSources } = policySourcesOf(found.PolicySource, found.PolicyBinding)
  const { policyData, problems: ofData } = policyDataOf(found.PolicyData, found.PolicyBinding)
  const { identity, problems: ofIdentity } = identityOfMesh(
    { entries: found.RegistrationEntry, issuers: found.PlatformIssuer, federation: found.FederatedDomain },
    trustDomain,
    world.readKeyFile,
  )
  const { quarantine, problems: ofQuarantine } = quarantineFrom(found.Quarantine, trustDomain)
  const {
    traffic,
    limits,
    limitsOf,
    sourcesOf,
    governed,
    problems: ofTraffic,
  } = resolveTraffic({
    ...parts,
    trustDomain,
    resolved,
    entered: ofGateways.values(),
    sha256: world.sha256,
    traffic: found.TrafficPolicy,
  })
  const portsOf = (name: string): readonly number[] =>
    found.Gateway.filter((one) => one.name === name && isIngress(one)).flatMap(({ spec }) => [
      ...new Set(spec.listeners.map(({ port }) => port)),
    ])
  const tcp = tcpServices(found.Workload)
  const { passed, problems: ofTlsRoutes } = resolveTlsRoutes({ ...parts, tlsRoutes: found.TLSRoute, tcp })
  problems.push(...ofTlsRoutes)
  problems.push(...grpcRouteProblems(found.GRPCRoute, found.HTTPRoute))
  problems.push(...ofTraffic, ...ingressProblems({ ...parts, trustDomain }))
  problems.push(...externalProblems({ ...parts, services: ofMesh, policyOf }))
  problems.push(...accessProblems(mesh, world.bundles, found.PolicySource))
  problems.push(...ofQuarantine, ...ofSettings, ...checkWorkloads(found.Workload, trustDomain, portsOf), ...ofServices)
  problems.push(...tcpProblems({ ...parts, policies }))
  problems.push(
    ...checkGateways(parts),
    ...ofRoutes,
    ...checkRouteFilters(found.RouteFilter),
    ...ofBindings,
    ...ofSources,
    ...ofData,
    ...ofIdentity,
  )
  problems.sort(byPlace)
  if (problems.some((problem) => problem.level === 'error')) return { ok: false, problems }

  const detected = detectedServices(found.Workload)
  const named = namedSections(parts.routes)
  const routes = governed(resolved)
  const entered = new Map([...ofGateways].map(([key, ways]) => [key, governed(ways)]))
  const ingress = { entered, passed, named, policyOf, limitsOf }
  const workloads = found.Workload.map((placed) => {
    const id = identityOf(placed, trustDomain)!
    const own = workloadOf(placed, id, policies.get(placed.name), detected)
    const entered = withGateway(withLimits(own, limits.get(placed.name)), placed, found.Gateway, ingress)
    const leading = withOutside(entered, placed, { externals, policyOf })
    return withSources(leading, serviceOf(placed), placed.spec.gateway?.name, sourcesOf)
  })
  const used = new Set(workloads.flatMap((workload) => [...bundlesOf(workload)]))
  const content: Omit<MeshSnapshot, 'name'> = {
    v: snapshotVersion,
    trustDomain,
    cluster: mesh.spec.cluster ?? 'main',
    services: [...services.values()]
      .map(({ service }) => withSealing(withTraffic(asTcp(service, tcp), traffic.get(service.name)), workloads))
      .sort((a, b) => byText(a.name, b.name)),
    routes,
    workloads: workloads.toSorted((a, b) => byText(a.name, b.name)),
    bundles: (world.bundles === 'any' ? [] : world.bundles)
      .filter((ref) => used.has(ref.bundle))
      .toSorted((a, b) => byText(a.bundle, b.bundle)),
    ...dataUsesOf(policyData, world.data ?? [], used),
    ...(quarantine.length > 0 && { quarantine }),
    ...(mesh.spec.tracing && { tracing: tracingOf(mesh.spec.tracing) }),
    audit: auditOf(mesh.spec),
    stream: settings.stream,
    logKey: world.logKey ?? '',
  }
  const snapshot = nameSnapshot(content, world.sha256)
  return { ok: true, snapshot, settings: { ...settings, policySources, policyData, identity }, warnings: problems }
}

/** What proxies are told of; the rest is between control and the auditor. */
const ofProxies: readonly (keyof MeshSnapshot['audit'])[] = [
  ...(['durability', 'spoolMaxBytes', 'segmentBytes', 'syncEveryMs', 'headEveryMs', 'idleHeadEveryMs'] as const),
  ...(['onFull', 'expectedRate'] as const),
]

function auditOf({ audit = {} }: MeshSpec): MeshSnapshot['audit'] {
  const given = ofProxies.filter((name) => audit[name] !== undefined).map((name) => [name, audit[name]])
  return { ...auditDefaults, ...Object.fromEntries(given) }
}

/** Two documents of one kind and name: which of them is meant would hang on their order. */
function checkNames(found: MeshDocuments): Problem[] {
  return kinds.flatMap((kind) => {
    const seen = new Set<string>()
    return (found[kind] as readonly Placed<unknown>[]).flatMap((placed) => {
      if (!seen.has(placed.name)) {
        seen.add(placed.name)
        return []
      }
      const cure = 'keep one, or rename the other'
      return [problemAt(placed, ['metadata', 'name'], `there are two ${kind} documents of this name`, cure)]
    })
  })
}

function theMesh(meshes: readonly Placed<MeshSpec>[], problems: Problem[]): Placed<MeshSpec> | undefined {
  const [mesh, second] = meshes
  if (second) problems.push(problemAt(second, ['kind'], 'is a second Mesh', 'keep one Mesh to a file'))
  // Among other problems may be the one that hides the Mesh.
  if (!mesh && problems.length === 0) {
    const cure = 'add a document of kind Mesh with spec.trustDomain'
    const at = { line: 1, column: 1, field: '' }
    problems.push({ level: 'error', document: 'the file', ...at, problem: 'has no Mesh', cure })
  }
  return mesh
}
