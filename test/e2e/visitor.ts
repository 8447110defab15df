/** Another trust domain that `bank.example` federates with, and calls from it: its root is rotated while they go on. */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { call } from '../../ca/node/https.ts'
import { joinAs } from '../../cli/wire/join.ts'
import { controlId } from '../../cli/wire/names.ts'
import { followTrustOf } from '../../cli/wire/trust.ts'
import { fromUtf8 } from '../../core/bytes.ts'
import { messageOf } from '../../core/fault.ts'
import type { TrustDomain } from '../../core/spiffe.ts'
import { type Started, start, writ } from '../cli/writ.ts'
import { freePort } from '../parts/ports.ts'
import { steadily, type Traffic } from './traffic.ts'

export const otherDomain: TrustDomain = 'other.example' as TrustDomain

export interface OtherDomain {
  readonly mesh: Started
  readonly state: string
  /** The document by which the bank recognises it. */
  readonly document: string
  /** Calls `orders` at this port, each over a connection of its own, in the name of a visitor whose SVID renews itself. */
  visit(inbound: number, perSecond: number): Promise<Traffic>
}

/** Its certificates hold for a minute; a new root is published for half a minute, in which those who poll ask three times. */
export async function openOtherDomain(folder: string): Promise<OtherDomain> {
  const [door, bundles] = [await freePort(), await freePort()]
  const [file, state] = [join(folder, 'other.yaml'), join(folder, 'other')]
  await mkdir(join(folder, 'none'), { recursive: true })
  await writeFile(
    file,
    `apiVersion: writ.dev/v1\nkind: Mesh\nmetadata: { name: other }\nspec:\n  trustDomain: ${otherDomain}\n  identity: { ttl: 1m, roots: { publish: 30s, keep: 1s } }\n`,
  )
  const words = ['-f', file, '--state', state, '--policies', join(folder, 'none')]
  const mesh = start(['up', ...words, '--listen', `127.0.0.1:${door}`, '--federation', `127.0.0.1:${bundles}`])
  await mesh.said(/^page /m)
  await writeFile(join(folder, 'other.json'), await published(bundles))
  return {
    ...{ mesh, state },
    document: `---
apiVersion: writ.dev/v1
kind: FederatedDomain
metadata: { name: other }
spec:
  trustDomain: ${otherDomain}
  url: https://127.0.0.1:${bundles}/
  profile: https_spiffe
  endpointId: ${controlId(otherDomain)}
  bundleFile: other.json
`,
    async visit(inbound, perSecond) {
      const reach = { url: `https://127.0.0.1:${door}`, expect: controlId(otherDomain), nowMs: Date.now }
      const token = (await writ('token', `spiffe://${otherDomain}/visitor`, '--state', state)).out.trim()
      const source = await joinAs({
        ...reach,
        ...{ dir: join(folder, 'visitor'), token: async () => token, onEvent: () => {} },
      })
      const over = new AbortController()
      const own = () => ({ ...reach, state: source.current() })
      const following = followTrustOf(
        own,
        ({ bundles }) => source.setBundles(bundles),
        over.signal,
        () => {},
      )
      const traffic = steadily(perSecond, async (n) => {
        const judge = () => {} // Whom the bank's own certificates convince, the bank's own traffic shows.
        const asked = {
          url: `https://127.0.0.1:${inbound}`,
          method: 'GET',
          headers: { host: 'orders' },
          judge,
        } as const
        const { svid } = source.current()
        const answer = await call({ ...asked, path: `/orders/${n}`, svid }).catch(messageOf)
        if (typeof answer === 'string') return `visitor until ${new Date(svid.notAfterMs).toISOString()}: ${answer}`
        return answer.status === 200 ? undefined : `visitor: ${answer.status} ${fromUtf8(answer.bytes)}`
      })
      return {
        async stop() {
          const ended = await traffic.stop()
          over.abort()
          await following
          source.close()
          return ended
        },
      }
    },
  }
}

/** What its operators hand over: the bundle as it is published. */
async function published(port: number): Promise<string> {
  const url = `https://127.0.0.1:${port}`
  return fromUtf8((await call({ url, method: 'GET', path: '/', judge: () => {} })).bytes)
}
