import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { columnsOf, wrap } from '../../cli/bank/wrap.ts'
import { exitCodeOf } from '../../cli/fault.ts'
import { hostAndPort, number } from '../../cli/options.ts'
import { WritError } from '../../core/fault.ts'

/** Words and numbers at the rim: exit codes, option values, lines that fit. */

describe('an exit code', () => {
  test('tells a log that does not hold from a question that is wrong and a service that is away', () => {
    expect(exitCodeOf(new WritError('log_invalid', ''))).toBe(1)
    expect(exitCodeOf(new WritError('usage', ''))).toBe(2)
    expect(exitCodeOf(new WritError('in_use', ''))).toBe(3)
  })

  test('of what could not be checked is never that of what does not hold', () => {
    expect(exitCodeOf(new WritError('forbidden', ''))).toBe(2)
    expect(exitCodeOf(Object.assign(new Error('open'), { code: 'EACCES' }))).toBe(2)
    expect(exitCodeOf(Object.assign(new Error('write'), { code: 'ENOSPC' }))).toBe(3)
  })

  test('of anything else that is thrown is never 0', () => {
    for (const thrown of [new Error('what?'), 'text', undefined, Object.assign(new Error(''), { code: 'toString' })])
      expect(exitCodeOf(thrown)).toBe(1)
  })
})

describe('an option value', () => {
  test('that is a place has a port, and an IPv6 host stands in brackets', () => {
    expect(hostAndPort('127.0.0.1:7443')).toEqual({ address: '127.0.0.1', port: 7443 })
    expect(hostAndPort('[::1]:0')).toEqual({ address: '::1', port: 0 })
    for (const text of ['nowhere', ':1', '::1:1', 'a:65536', 'a:-1'])
      expect(() => hostAndPort(text), text).toThrow('HOST')
  })

  test('that is a number is whole and at least 1', () => {
    expect(number('120')).toBe(120)
    for (const text of ['0', '-1', '1.5', 'many', '']) expect(() => number(text), text).toThrow('whole number')
  })
})

describe('a text', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1, maxLength: 30 })

  test('is wrapped between words, loses none, and no line is longer than it has to be', () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 20, max: 120 }), fc.integer({ min: 0, max: 8 }), (list, width, indent) => {
        const lines = wrap(list.join(' '), width, indent).split('\n')
        expect(lines.flatMap((line) => line.trim().split(' '))).toEqual(list)
        for (const line of lines) {
          expect(line.length).toBeLessThanOrEqual(width)
          expect(line).toMatch(new RegExp(`^ {${indent}}[a-z]`))
        }
      }),
    )
  })

  test('that goes to a file is not wrapped, and a word that is too long stays whole', () => {
    expect(wrap('a '.repeat(200).trim(), columnsOf({}), 2)).not.toContain('\n')
    expect(wrap(`see ${'x'.repeat(60)} there`, columnsOf({ columns: 1 }), 2)).toBe(
      `  see\n  ${'x'.repeat(60)}\n  there`,
    )
  })
})
