/**
 * Records as OCSF events: decisions are API Activity (6003) with the profiles security_control and trace, refusals
 * Network Activity (4001), issuance Authentication (3002), policies, roots and acts of operators Entity Management (3004),
 * findings Detection Finding (2004), and what a producer tells of itself Application Lifecycle (6002). What OCSF has no member for is under `unmapped`.
 */

import { isObject, type Json } from '../../../core/json.ts'
import type { AuditEvent, FindingBody } from '../../../core/record.ts'
import { ocsfFinding, ocsfVersion } from '../../findings/ocsf.ts'
import type { DecisionRow } from '../answer.ts'

type Members = { readonly [member: string]: Json | undefined }

/** One event for each; several for counts of refusals, which name several sources. */
export function ocsfEvents(event: AuditEvent, row: DecisionRow): readonly Json[] {
  const body = event as unknown as Members
  switch (event.kind) {
    case 'decision':
      return [decision(body, row)]
    case 'opa_decision':
      return [told(body, row)]
    case 'refusals':
      return refusals(body, row)
    case 'issuance':
      return [issuance(body, row)]
    case 'finding': {
      const product = { trustDomain: event.td }
      const found = { id: row.id, foundMs: Date.parse(row.time), body: event as AuditEvent<FindingBody> }
      return [ocsfFinding(found, product) as Json]
    }
    case 'policy':
    case 'trust':
    case 'admin':
      return [managed(body, row)]
    default:
      return [lifecycle(body, row)]
  }
}

interface Kind {
  readonly category: number
  readonly class: number
  readonly activity: number
  readonly severity: 1 | 2 | 3 | 4
  readonly profiles?: readonly string[]
}

function base(body: Members, row: DecisionRow, kind: Kind): { [member: string]: Json } {
  const { shard, index } = row
  return {
    category_uid: kind.category,
    class_uid: kind.class,
    activity_id: kind.activity,
    type_uid: kind.class * 100 + kind.activity,
    severity_id: kind.severity,
    time: Date.parse(row.time),
    metadata: {
      version: ocsfVersion,
      product: { name: 'Writ', vendor_name: 'Writ' },
      uid: row.id,
      sequence: body['seq'] as number,
      original_time: body['timestamp'] as string,
      log_name: `${body['td']}/audit/${shard}`,
      log_provider: body['producer'] as string,
      event_code: body['kind'] as string,
      ...(kind.profiles && { profiles: [...kind.profiles] }),
    },
    unmapped: {
      writ: {
        shard,
        index,
        epoch: body['epoch'] as string,
        prev: body['prev'] as string,
        cluster: body['cluster'] as string,
        ...(row.sealed && { sealed: row.sealed as unknown as Json }),
      },
    },
  }
}

/** OCSF's activities of an API are those of a resource; each method is the one that it stands for. */
const activityOf: Readonly<Record<string, number>> = {
  POST: 1,
  GET: 2,
  HEAD: 2,
  OPTIONS: 2,
  PUT: 3,
  PATCH: 3,
  DELETE: 4,
}
const methods = ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT', 'PATCH']

function decision(body: Members, row: DecisionRow): Json {
  const { verdict } = row
  const trace = row.traceId !== null
  const kind = {
    category: 6,
    class: 6003,
    activity: activityOf[row.method ?? ''] ?? 99,
    severity: verdict === 'allow' ? 1 : verdict === 'deny' ? 3 : 4,
  } as const
  const event = base(body, row, { ...kind, profiles: ['security_control', ...(trace ? ['trace'] : [])] })
  const http = memberOf(body, 'input', 'attributes', 'request', 'http')
  const passed = verdict === 'allow' || row.code === 'fault_passed'
  const policy = policyOf(row)
  Object.assign(event, {
    ...(kind.activity === 99 && { activity_name: row.method ?? 'connection' }),
    actor: row.caller === null ? { app_name: 'unidentified' } : { app_uid: row.caller },
    api: {
      operation: `${row.method ?? 'CONNECT'} ${row.path ?? ''}`.trim(),
      ...(row.service !== null && { service: { name: row.service } }),
      ...(row.requestId !== null && { request: { uid: row.requestId } }),
    },
    src_endpoint: endpoint(row.sourceAddress, row.caller),
    ...(row.target !== null && {
      dst_endpoint: { name: row.target },
      resources: [{ uid: row.target, type: 'workload' }],
    }),
    action_id: passed ? 1 : 2,
    disposition_id: passed ? 1 : verdict === 'fault' ? 27 : row.code === 'policy_denied' ? 26 : 2,
    is_alert: !passed && row.enforced,
    authorizations: [{ decision: verdict, ...(policy && { policy }) }],
    ...(policy && { policy }),
    status_id: passed ? 1 : 2,
    status_code: row.code,
    ...(row.reasons.length > 0 && { status_detail: row.reasons.join('; ') }),
    http_request: requestOf(row, http),
    ...(row.status !== null && row.status > 0 && { http_response: { code: row.status } }),
    ...(row.durationUs !== null && { duration: Math.round(row.durationUs / 1000) }),
    ...(trace && { trace: { uid: row.traceId } }),
  })
  const unmapped = (event['unmapped'] as { writ: { [member: string]: Json } }).writ
  for (const name of ['direction', 'listener', 'workload', 'enforced', 'by', 'peer', 'trial', 'data'] as const) {
    if (body[name] !== undefined) unmapped[name] = body[name]
  }
  if (row.outcome !== null) {
    unmapped['outcome'] = {
      ...{ code: row.outcome, upstream: row.upstream ?? '' },
      ...(row.attempts?.length && { attempts: [...row.attempts] }),
      ...(row.stopped !== null && { stopped: row.stopped }),
    }
  }
  if (row.method !== null && !methods.includes(row.method)) unmapped['method'] = row.method
  return event
}

function requestOf(row: DecisionRow, http: Json | undefined): Json {
  const text = (name: string): string | undefined => {
    const value = isObject(http) ? http[name] : undefined
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const [host, scheme, version] = [text('host'), text('scheme'), text('protocol')]
  return {
    ...(row.method !== null && methods.includes(row.method) && { http_method: row.method }),
    ...(row.path !== null && {
      url: { path: row.path, ...(host && { hostname: host.replace(/:\d+$/, '') }), ...(scheme && { scheme }) },
    }),
    ...(version && { version }),
    ...(row.requestId !== null && { uid: row.requestId }),
  }
}

function policyOf(row: DecisionRow): Json | undefined {
  if (row.bundle === null) return undefined
  return { name: row.bundle, is_applied: row.enforced, ...(row.revision !== null && { version: row.revision }) }
}

/** Dotted or colon form without a zone; anything else is a name. */
function endpoint(address: string | null, name: string | null): Json {
  const ip =
    address !== null &&
    /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]*)$/.test(address) &&
    address.length <= 40
  if (ip) return { ip: address, ...(name !== null && { uid: name }) }
  return { name: name ?? address ?? 'unknown' }
}

function told(body: Members, row: DecisionRow): Json {
  const event = base(body, row, { category: 6, class: 6003, activity: 99, severity: 1 })
  const policy = policyOf({ ...row, enforced: false })
  Object.assign(event, {
    activity_name: 'opa_decision',
    actor: row.caller === null ? { app_name: 'unidentified' } : { app_uid: row.caller },
    api: { operation: row.path || 'query', ...(row.requestId !== null && { request: { uid: row.requestId } }) },
    src_endpoint: endpoint(row.sourceAddress, row.target),
    status_code: row.code,
  })
  const unmapped = (event['unmapped'] as { writ: { [member: string]: Json } }).writ
  Object.assign(unmapped, {
    workload: body['workload'],
    ...(policy && { policy }),
    ...(body['event'] !== undefined && { event: body['event'] }),
  })
  return event
}

function refusals(body: Members, row: DecisionRow): readonly Json[] {
  const kind: Kind = { category: 4, class: 4001, activity: 5, severity: 2, profiles: ['security_control'] }
  const list = Array.isArray(body['refusals']) ? (body['refusals'] as readonly Json[]) : []
  const common = { action_id: 2, disposition_id: 2, is_alert: false, dst_endpoint: { name: String(body['producer']) } }
  const events = list.map((item, at) => {
    const { source, code, count, detail } = isObject(item) ? item : {}
    const event = base(body, row, kind)
    ;(event['metadata'] as { [member: string]: Json })['uid'] = `${row.id}.${at}`
    return Object.assign(event, common, {
      src_endpoint: endpoint(typeof source === 'string' ? source : null, null),
      count: typeof count === 'number' ? count : 1,
      status_code: String(code ?? ''),
      status_detail: String(detail ?? ''),
    }) as Json
  })
  const others = Number(body['others'] ?? 0)
  if (others === 0 && events.length > 0) return events
  const rest = Object.assign(base(body, row, kind), common, {
    count: Math.max(others, 1),
    status_detail: 'sources beyond the quota',
  })
  return [...events, rest as Json]
}

const issuanceActivity: Readonly<Record<string, number>> = { issued: 4, renewed: 5, refused: 4 }

function issuance(body: Members, row: DecisionRow): Json {
  const action = String(body['action'])
  const activity = issuanceActivity[action] ?? 99
  const event = base(body, row, { category: 3, class: 3002, activity, severity: action === 'refused' ? 3 : 1 })
  const unmapped = (event['unmapped'] as { writ: { [member: string]: Json } }).writ
  for (const name of ['action', 'serial', 'not_before', 'not_after', 'evidence', 'audience'] as const) {
    if (body[name] !== undefined) unmapped[name] = body[name]
  }
  const isToken = body['audience'] !== undefined
  return Object.assign(event, {
    ...(activity === 99 && { activity_name: action }),
    user: { uid: String(body['subject']), name: String(body['subject']) },
    service: { name: `${body['td']} CA`, uid: String(body['producer']) },
    status_id: action === 'refused' ? 2 : 1,
    ...(body['reason'] !== undefined && { status_detail: String(body['reason']) }),
    ...(!isToken &&
      action !== 'refused' && {
        certificate: {
          issuer: String(body['td']),
          serial_number: String(body['serial']),
          subject: String(body['subject']),
          ...timesOf(body),
        },
      }),
  }) as Json
}

function timesOf(body: Members): { readonly [member: string]: Json } {
  const [from, to] = [Date.parse(String(body['not_before'])), Date.parse(String(body['not_after']))]
  return { ...(!Number.isNaN(from) && { created_time: from }), ...(!Number.isNaN(to) && { expiration_time: to }) }
}

const managedActivity: Readonly<Record<string, number>> = {
  published: 1,
  activated: 10,
  canary_rolled_back: 11,
  data_published: 1,
  data_activated: 10,
}

function managed(body: Members, row: DecisionRow): Json {
  const kind = String(body['kind'])
  const action = typeof body['action'] === 'string' ? body['action'] : 'announced'
  const activity = kind === 'policy' ? (managedActivity[action] ?? 99) : kind === 'trust' ? 3 : 99
  const event = base(body, row, {
    category: 3,
    class: 3004,
    activity,
    severity: action === 'canary_rolled_back' ? 3 : 1,
  })
  const unmapped = (event['unmapped'] as { writ: { [member: string]: Json } }).writ
  for (const name of ['action', 'data', 'trial', 'roots'] as const)
    if (body[name] !== undefined) unmapped[name] = body[name]
  return Object.assign(event, {
    ...(activity === 99 && { activity_name: action }),
    entity:
      kind === 'policy'
        ? {
            type: 'policy',
            name: String(body['bundle']),
            version: String(body['revision']),
            uid: String(body['sha256']),
          }
        : kind === 'trust'
          ? { type: 'trust bundle', name: String(body['trust_domain']), version: String(body['sequence']) }
          : { type: 'control plane', name: String(body['producer']) },
    ...(body['actor'] !== undefined && { actor: { user: { name: String(body['actor']) } } }),
    ...(body['detail'] !== undefined && { comment: String(body['detail']) }),
  }) as Json
}

/** What the ledger says of others is worth somebody's look. */
const alarming = ['gap', 'spool_lost', 'anomaly', 'unmatched', 'suppressed']

function lifecycle(body: Members, row: DecisionRow): Json {
  const kind = String(body['kind'])
  const activity = kind === 'start' ? 3 : kind === 'head' && body['final'] === true ? 4 : 99
  const event = base(body, row, { category: 6, class: 6002, activity, severity: alarming.includes(kind) ? 4 : 1 })
  const { v: _, td: _td, cluster: _c, producer, epoch: _e, seq: _s, prev: _p, timestamp: _t, kind: _k, ...rest } = body
  const unmapped = (event['unmapped'] as { writ: { [member: string]: Json } }).writ
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) unmapped[name] = value
  return Object.assign(event, {
    ...(activity === 99 && { activity_name: kind }),
    app: { name: String(producer), ...(typeof rest['software'] === 'string' && { version: rest['software'] }) },
  }) as Json
}

function memberOf(value: Json | Members, ...steps: readonly string[]): Json | undefined {
  let here: Json | undefined = value as Json
  for (const step of steps) here = isObject(here) && Object.hasOwn(here, step) ? here[step] : undefined
  return here
}
