import { expect, test } from 'vitest'
import { ReadBuffer } from '../../../proxy/node/read-buffer.ts'

const small = 16_384
const large = 65_536

/** One more read, of `length` bytes. */
const read = (buffer: ReadBuffer, length: number): Uint8Array => buffer.after(length)

test('few bytes are read into one small buffer, which is never lent', () => {
  const buffer = new ReadBuffer()
  const first = read(buffer, 0)
  expect(first.length).toBe(small)
  expect(buffer.lend()).toBeUndefined()
  expect(read(buffer, small - 1)).toBe(first)
})

test('a read that fills the small buffer is followed by a large one, and one that does not by the small one again', () => {
  const buffer = new ReadBuffer()
  const first = read(buffer, 0)
  const second = read(buffer, small)
  expect(second.length).toBe(large)
  expect(read(buffer, small)).toBe(second)
  expect(read(buffer, small - 1)).toBe(first)
})

test('what is lent is read into by nobody until each write of it is over', () => {
  const [one, other] = [new ReadBuffer(), new ReadBuffer()]
  const lent = read(one, small)
  const written = [one.lend()!, one.lend()!]
  const next = read(one, large)
  expect(next).not.toBe(lent)
  written[0]!()
  expect(read(other, small)).not.toBe(lent)
  written[1]!()
  one.lend()
  expect(read(one, large)).toBe(lent)
})

test('a write that is over before the read is leaves the buffer to its connection', () => {
  const [one, other] = [new ReadBuffer(), new ReadBuffer()]
  const lent = read(one, small)
  one.lend()!()
  expect(read(other, small)).not.toBe(lent)
  expect(read(one, large)).toBe(lent)
})
