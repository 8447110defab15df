import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readSecretRequest, secretResponse } from '../../../ca/node/workload/secrets.ts'
import { readJwtSvidRequest, readValidateRequest, x509SvidResponse } from '../../../ca/workload/messages.ts'
import { decode, encode, type Field, textOf, textsOf } from '../../../ca/workload/proto.ts'
import type { Svid } from '../../../core/identity.ts'
import { id, newAuthority, newSvid } from '../world.ts'

const svidOf = async (path: string): Promise<Svid> => newSvid(await newAuthority(), id(`spiffe://bank.example${path}`))

const bytes = fc.uint8Array({ maxLength: 200 })

test('whatever bytes a caller sends, they are read or refused, never thrown over', async () => {
  fc.assert(
    fc.property(bytes, (sent) => {
      for (const read of [decode, readJwtSvidRequest, readValidateRequest, readSecretRequest]) {
        expect(typeof read(sent)).toBe('object')
      }
    }),
    { numRuns: 2000 },
  )
})

test('fields come back as they were written, in order, beside others that are read over', async () => {
  const texts = fc.array(fc.string({ maxLength: 20 }), { maxLength: 10 })
  fc.assert(
    fc.property(texts, fc.boolean(), fc.double(), (list, flag, number) => {
      const fields = list.map((text): Field => [7, text])
      const read = decode(encode([1, flag], ...fields, [2, number], [9, encode([1, 'inside'])]))
      const wellFormed = list.map((text) => text.toWellFormed())
      expect('fields' in read && textsOf(read.fields, 7)).toEqual(wellFormed)
      expect('fields' in read && [...read.fields.keys()].sort()).toEqual(list.length > 0 ? [7, 9] : [9])
    }),
  )
})

test('a message that is cut short anywhere inside a field is refused', async () => {
  const whole = encode([1, 'audience'], [2, 'spiffe://bank.example/orders'])
  const cuts = Array.from({ length: whole.length - 1 }, (_, i) => i + 1).filter((at) => at !== 10)
  for (const at of cuts) expect(readJwtSvidRequest(whole.subarray(0, at))).toHaveProperty('wrong')
  expect(readJwtSvidRequest(whole.subarray(0, 10))).toEqual({ audiences: ['audience'], id: '' })
  expect(readJwtSvidRequest(encode([1, new Uint8Array([0xff])]))).toHaveProperty('wrong')
})

test('names that nobody holds are left out of an answer, and an unknown type is refused', async () => {
  const none = { svids: [], bundles: new Map() }
  const read = decode(secretResponse(none, ['default', 'ROOTCA', 'spiffe://bank.example'], '1'))
  expect('fields' in read && read.fields.has(2)).toBe(false)
  expect(readSecretRequest(encode([4, 'type.googleapis.com/other']))).toHaveProperty('wrong')
})

test('of two identities with one hint the first has it', async () => {
  const made = await Promise.all(['/a', '/b', '/c'].map(svidOf))
  const svids = made.map((svid, i) => ({ svid, hint: i < 2 ? 'same' : 'other', federatesWith: [] }))
  const read = decode(x509SvidResponse({ svids, bundles: new Map() }))
  const hints = ('fields' in read ? read.fields.get(1)! : []).map((one) => {
    const svid = decode(one)
    return 'fields' in svid ? textOf(svid.fields, 5) : undefined
  })
  expect(hints).toEqual(['same', '', 'other'])
})
