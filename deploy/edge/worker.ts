/** An edge function behind Writ: each call is identified, judged by policy and kept in the log before `hello` sees it. */

// In a project of your own: 'writ/edge'.
import { type Guarded, openEdge, type RequestContext } from '../../proxy/edge/index.ts'
import data from './build/hello/data.json' with { type: 'json' }
import module from './build/hello/policy.wasm'
import reads from './build/hello/reads.json' with { type: 'json' }
import ref from './build/hello/ref.json' with { type: 'json' }

/** Settings of the deployment. COLLECTOR_TOKEN is a secret. */
interface Env {
  readonly WORKLOAD: string
  readonly TRUST: string
  readonly COLLECTOR_URL: string
  readonly COLLECTOR_TOKEN: string
}

const open = (env: Env): Guarded =>
  openEdge(hello, {
    workload: env.WORKLOAD,
    policy: { module, data, reads, ref },
    entrypoint: 'hello/result',
    trust: [JSON.parse(env.TRUST)],
    collector: { url: env.COLLECTOR_URL, token: env.COLLECTOR_TOKEN },
  })

/** The caller's name stands in a header that only the guard can set. */
async function hello(request: Request): Promise<Response> {
  const caller = /URI=([^;]*)/.exec(request.headers.get('x-forwarded-client-cert') ?? '')?.[1]
  return Response.json({ caller, path: new URL(request.url).pathname, said: await request.text() })
}

let guarded: Guarded | undefined

export default {
  fetch(request: Request, env: Env, context: RequestContext): Promise<Response> {
    guarded ??= open(env)
    return guarded(request, context)
  },
}
