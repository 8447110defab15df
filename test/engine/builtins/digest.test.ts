import { createHash, createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { digest } from '../../../engine/builtins/digest.ts'
import { stringOfBytes } from '../../../engine/value.ts'
import { contextAt } from './context.ts'

const call = (name: string, ...args: string[]) => digest[name]!(contextAt(), ...args)

test.each(['md5', 'sha1', 'sha256'])('crypto.%s takes the bytes of a text', (name) => {
  const expected = createHash(name).update('åäö🥲').digest('hex')
  expect(call(`crypto.${name}`, 'åäö🥲')).toBe(expected)
  expect(call(`crypto.${name}`, 'åäö')).not.toBe(expected)
})

test.each(['md5', 'sha1', 'sha256', 'sha512'])('crypto.hmac.%s takes the message first and the key second', (name) => {
  const expected = createHmac(name, 'key').update('message').digest('hex')
  expect(call(`crypto.hmac.${name}`, 'message', 'key')).toBe(expected)
  expect(call(`crypto.hmac.${name}`, 'key', 'message')).not.toBe(expected)
})

test('bytes that are no text are hashed as those bytes', () => {
  const bytes = Uint8Array.of(0xff, 0x00, 0xc3)
  const expected = createHash('sha256').update(bytes).digest('hex')
  expect(call('crypto.sha256', stringOfBytes(bytes))).toBe(expected)
})

test('two codes are equal where every byte of them is', () => {
  expect(call('crypto.hmac.equal', 'abcd', 'abcd')).toBe(true)
  expect(call('crypto.hmac.equal', 'abcd', 'abce')).toBe(false)
  expect(call('crypto.hmac.equal', 'abcd', 'abc')).toBe(false)
})

test('what is no text is refused', () => {
  expect(() => digest['crypto.md5']!(contextAt(), 1)).toThrow('string expected')
})
