/**
 * An event as canonical JSON. Decisions, of which there is one for each request, are written in one go; their members
 * stand below in the order that RFC 8785 asks for. Held equal to `encodeEvent` by test/audit/stream/event-text.test.ts.
 */

import { canonicalJson, type Json, canonicalString as quoted } from '../../core/json.ts'
import type { DecisionBody, Envelope, EventBody } from '../../core/record.ts'

/** Throws a TypeError on what JSON cannot hold. */
export function eventText(envelope: Envelope, body: EventBody): string {
  if (body.kind !== 'decision') return canonicalJson({ ...body, ...envelope } as unknown as Json)
  return isAsTyped(body)
    ? decisionText(envelope, body)
    : canonicalJson({ ...body, ...envelope, decision_id: `${envelope.epoch}-${envelope.seq}` } as unknown as Json)
}

/** Every member of a decision, and whether it is always there and text. */
const members: { readonly [name in keyof DecisionBody]-?: 'text' | 'other' } = {
  kind: 'text',
  direction: 'text',
  workload: 'text',
  listener: 'text',
  verdict: 'text',
  code: 'text',
  by: 'text',
  enforced: 'other',
  reasons: 'other',
  bundles: 'other',
  path: 'other',
  input: 'other',
  peer: 'other',
  service: 'other',
  route: 'other',
  request_id: 'text',
  trace_id: 'other',
}
const texts = Object.entries(members).filter(([, kind]) => kind === 'text').length

/** Whether the members are those written below and no others, whatever the body's type says. */
function isAsTyped(body: DecisionBody): boolean {
  let found = 0
  for (const name of Object.keys(body) as (keyof DecisionBody)[]) {
    const kind = Object.hasOwn(members, name) ? members[name] : undefined
    if (kind === undefined || (kind === 'text' && typeof body[name] !== 'string')) return false
    if (kind === 'text') found++
  }
  return found === texts && body.enforced !== undefined && body.reasons !== undefined && body.input !== undefined
}

function decisionText(envelope: Envelope, body: DecisionBody): string {
  const { cluster, epoch, prev, producer, seq, td, timestamp, v } = envelope
  const begin = body.bundles === undefined ? '{' : `{"bundles":${canonicalJson(body.bundles)},`
  return (
    `${begin}"by":${quoted(body.by)},"cluster":${quoted(cluster)},"code":${quoted(body.code)}` +
    `,"decision_id":"${epoch}-${seq}","direction":${quoted(body.direction)},"enforced":${canonicalJson(body.enforced)}` +
    `,"epoch":"${epoch}","input":${canonicalJson(body.input)},"kind":"decision","listener":${quoted(body.listener)}` +
    `${optional(',"path":', body.path)}${optional(',"peer":', body.peer)}` +
    `,"prev":"${prev}","producer":${quoted(producer)},"reasons":${canonicalJson(body.reasons)}` +
    `,"request_id":${quoted(body.request_id)}${optional(',"route":', body.route)},"seq":${seq}` +
    `${optional(',"service":', body.service)},"td":${quoted(td)},"timestamp":"${timestamp}"` +
    `${optional(',"trace_id":', body.trace_id)},"v":${v},"verdict":${quoted(body.verdict)}` +
    `,"workload":${quoted(body.workload)}}`
  )
}

const optional = (name: string, value: Json | undefined): string =>
  value === undefined ? '' : `${name}${canonicalJson(value)}`
