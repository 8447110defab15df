import { expect, test } from 'vitest'
import { isSignedBy, readJws, readJwtKey, type VerifyJws } from '../../ca/jwt.ts'
import { verifyJws } from '../../ca/node/jws.ts'
import type { JwtKey } from '../../core/identity.ts'
import { vectorsOf } from './vectors.ts'

/** Wycheproof's JWS vectors: no token that should be refused holds under our strict reading and jose's signature check. */

interface Group {
  readonly comment: string
  readonly public?: Readonly<Record<string, unknown>>
  readonly private?: Readonly<Record<string, unknown>>
  readonly tests: readonly {
    readonly tcId: number
    readonly comment: string
    readonly jws: unknown
    readonly result: 'valid' | 'invalid' | 'acceptable'
  }[]
}

const groups = vectorsOf<Group>('json_web_signature_test.json', 'testGroups')

/** Their keys as a bundle would hold them: with a name, and `jwt-svid` where they say that they are for signatures. */
function keyOf({ public: key = {} }: Group): JwtKey | undefined {
  return readJwtKey({
    kid: 'any',
    ...key,
    use: key['use'] === 'sig' || key['use'] === undefined ? 'jwt-svid' : key['use'],
  })
}

async function accepted(group: Group, jws: unknown, verify: VerifyJws): Promise<boolean> {
  const key = keyOf(group)
  const read = typeof jws === 'string' ? readJws(jws) : undefined
  return key !== undefined && read !== undefined && 'jws' in read && (await verify(read.jws, key))
}

const here = test.skipIf(groups.length === 0)

/** The one that runs anywhere, and the one of Node. */
const verifiers = { jose: isSignedBy, node: verifyJws }

here('no bad token of Wycheproof is taken', async () => {
  const wrong: string[] = []
  let bad = 0
  for (const group of groups) {
    for (const { tcId, comment, jws, result } of group.tests) {
      if (result !== 'invalid') continue
      bad++
      for (const [name, verify] of Object.entries(verifiers)) {
        if (await accepted(group, jws, verify)) wrong.push(`${name} ${tcId} ${comment}`)
      }
    }
  }
  expect(wrong).toEqual([])
  expect(bad).toBeGreaterThan(300)
})

here(
  'the good ones are taken, but for what no JWT-SVID is: HMAC, empty payloads, keys of another algorithm',
  async () => {
    for (const verify of Object.values(verifiers)) {
      const refused: string[] = []
      let taken = 0
      for (const group of groups) {
        for (const { tcId, comment, jws, result } of group.tests) {
          if (result !== 'valid') continue
          if (await accepted(group, jws, verify)) taken++
          else if (group.public && comment !== 'emptyPayload') refused.push(`${tcId} ${comment}`)
        }
      }
      expect(taken).toBe(26)
      // RFC 7520's figures 20 and 27 come here with keys that are said to be for PS256 and for `ES521`.
      expect(refused).toEqual(['346 Figure20', '347 Figure27', '350 Figure20', '351 Figure27'])
    }
  },
)
