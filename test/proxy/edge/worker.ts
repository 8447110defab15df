/** A guarded Worker whose parts say yes to everybody: what is left is the exchange, as each runtime sees it. */

import type { Identified } from '../../../core/identity.ts'
import type { Epoch } from '../../../core/record.ts'
import type { SpiffeId, TrustDomain } from '../../../core/spiffe.ts'
import type { Handler } from '../../../proxy/edge/exchange.ts'
import { type GuardOptions, guard, type RequestContext } from '../../../proxy/edge/guard.ts'

const edge = 'spiffe://bank.example/edge-fn' as SpiffeId

const known: Identified = {
  ok: true,
  identity: {
    id: 'spiffe://bank.example/shop' as SpiffeId,
    trustDomain: 'bank.example' as TrustDomain,
    proof: 'jwt',
    serial: '',
    notBeforeMs: 0,
    notAfterMs: 9e12,
  },
}

let seq = 0
let flushed = 0

const handler: Handler = (request) => {
  switch (new URL(request.url).pathname) {
    case '/echo':
      return new Response(request.body, { headers: { 'x-echo': '1' } })
    case '/throws':
      throw new Error('secret')
    case '/nothing':
      return undefined as unknown as Response
    case '/empty':
      return new Response(null, { status: 204 })
    case '/moved':
      return Response.redirect('https://edge.example/', 302)
    case '/flushed':
      return Response.json(flushed)
    default:
      return Response.json({ url: request.url, method: request.method, headers: Object.fromEntries(request.headers) })
  }
}

const options: GuardOptions = {
  workload: edge,
  policy: { bundle: 'bank', entrypoint: 'bank/result', recordHeaders: [], recordQuery: false },
  identify: () => known,
  decide: () => ({ verdict: 'allow', code: 'allowed', from: { by: 'proxy' }, reasons: [] }),
  sink: {
    keep: async () => ({ producer: edge, epoch: 'ab'.repeat(12) as Epoch, seq: ++seq }),
    outcome: () => undefined,
    refused: () => undefined,
    flush: async () => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      flushed++
    },
  },
}
const guarded = guard(handler, options)
/** The same with a policy that sees the first bytes of bodies. */
const judging = guard(handler, { ...options, policy: { ...options.policy, bodyBytes: 4 } })

export default {
  fetch: (request: Request, _: unknown, context: RequestContext): Promise<Response> =>
    request.headers.has('x-judge-body') ? judging(request, context) : guarded(request, context),
}
