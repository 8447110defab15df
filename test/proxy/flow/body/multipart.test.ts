import fc from 'fast-check'
import { expect, test } from 'vitest'
import { utf8 } from '../../../../core/bytes.ts'
import { readMultipart } from '../../../../proxy/flow/body/multipart.ts'

const part = (name: string, value: string, more = ''): string =>
  `--b\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
const read = (text: string, boundary: string | undefined = 'b') => readMultipart(utf8(text), boundary)
const wrongOf = (text: string, boundary?: string): string | undefined => {
  const found = read(text, boundary)
  return 'wrong' in found ? found.wrong : undefined
}

test('parts come by name, in order, and a name may come again', () => {
  const text = `${part('a', '1')}${part('b', 'x\r\ny')}${part('a', '')}--b--\r\n`
  expect(read(text)).toEqual({ values: { a: ['1', ''], b: ['x\r\ny'] } })
  expect(read('--b--')).toEqual({ values: {} })
})

test('a file is its text, with what is none replaced; a field that is no text is refused', () => {
  const bytes = (head: string) => Uint8Array.from([...utf8(`--b\r\n${head}\r\n\r\n`), 0xff, ...utf8('\r\n--b--')])
  const disposition = 'Content-Disposition: form-data; name="f"'
  expect(readMultipart(bytes(`${disposition}; filename="x"`), 'b')).toEqual({ values: { f: ['\ufffd'] } })
  expect(readMultipart(bytes(disposition), 'b')).toHaveProperty('wrong')
})

test('a part that says it is JSON is a value, with the same rules as a body of it', () => {
  const json = (value: string) =>
    `--b\r\nContent-Type: application/json\r\nContent-Disposition: form-data; name=j\r\n\r\n${value}\r\n--b--`
  expect(read(json('{"a":[1]}'))).toEqual({ values: { j: [{ a: [1] }] } })
  expect(wrongOf(json('{"a":1,"a":2}'))).toContain('twice')
})

const end = '--b--\r\n'
test.each([
  ['no boundary', part('a', '1'), undefined],
  ['a boundary that is none', part('a', '1'), 'b\r\n'],
  ['something before the first boundary', `x\r\n${part('a', '1')}${end}`, 'b'],
  ['something after the last boundary', `${part('a', '1')}${end}x`, 'b'],
  ['no last boundary', part('a', '1'), 'b'],
  ['a bare LF', `${part('a', '1')}${end}`.replaceAll('\r\n', '\n'), 'b'],
  [
    'a boundary after a bare LF',
    `${part('a', `1\n--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n2`)}${end}`,
    'b',
  ],
  ['a boundary after a bare CR', `${part('a', '1\r--b--')}${end}`, 'b'],
  ['a longer boundary', `${part('a', '1\r\n--bx')}${end}`, 'b'],
  ['space after a boundary', `${part('a', '1')}--b \r\n`, 'b'],
  ['no name', `--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n${end}`, 'b'],
  ['no disposition', `--b\r\nX: y\r\n\r\n1\r\n${end}`, 'b'],
  ['no head', `--b\r\n\r\n1\r\n${end}`, 'b'],
  ['a head without end', `--b\r\nContent-Disposition: form-data; name="a"\r\n${end}`, 'b'],
  ['two names', `${part('a', '1', '; name="c"')}${end}`, 'b'],
  ['a second kind of name', `${part('a', '1', "; name*=UTF-8''c")}${end}`, 'b'],
  ['two dispositions', `${part('a', '1', '\r\nContent-Disposition: form-data; name="c"')}${end}`, 'b'],
  ['another disposition', `${part('a', '1').replace('form-data', 'attachment')}${end}`, 'b'],
  ['an escape in a name', `${part('a\\"; x="', '1')}${end}`, 'b'],
  ['an escaped quote in a file name', `${part('a', '1', '; filename="\\"; name=\\"b"')}${end}`, 'b'],
  ['a percent escape in a name', `${part('a%22', '1')}${end}`, 'b'],
  ['an encoding of its own', `${part('a', '1', '\r\nContent-Transfer-Encoding: base64')}${end}`, 'b'],
  ['another charset', `${part('a', '1', '\r\nContent-Type: text/plain; charset=utf-16')}${end}`, 'b'],
  ['a folded line', `${part('a', '1', '\r\n X: y')}${end}`, 'b'],
])('%s is refused', (_, text, boundary) => {
  const bytes = utf8(text)
  expect(readMultipart(bytes, boundary)).toHaveProperty('wrong')
})

/** What another implementation makes of it; undefined where it reads nothing. */
async function other(bytes: Uint8Array<ArrayBuffer>): Promise<Record<string, string[]> | undefined> {
  try {
    const headers = { 'content-type': 'multipart/form-data; boundary=b' }
    const form = await new Response(bytes, { headers }).formData()
    const values: Record<string, string[]> = Object.create(null)
    for (const [name, value] of form) (values[name] ??= []).push(typeof value === 'string' ? value : await value.text())
    return values
  } catch {
    return undefined
  }
}

test('whatever is read is what fetch reads', async () => {
  const piece = fc.constantFrom('--b', '\r\n', '\n', '\r', '--', 'x', 'a"', '; filename="f"', 'X: y', end, '"')
  const content = fc.array(piece, { maxLength: 4 }).map((list) => list.join(''))
  const parts = fc.array(
    fc.oneof(
      fc.tuple(fc.constantFrom('a', 'b'), content).map(([name, text]) => part(name, text)),
      content,
    ),
  )
  await fc.assert(
    fc.asyncProperty(parts, async (list) => {
      const bytes = new Uint8Array(utf8(`${list.join('')}${end}`))
      const found = readMultipart(bytes, 'b')
      if ('values' in found && Object.keys(found.values).length > 0) expect(found.values).toEqual(await other(bytes))
    }),
    { numRuns: 1000 },
  )
})

test('whatever fetch writes is read back, but for names that it escapes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.string({ minLength: 1 }), fc.string(), fc.boolean())), async (fields) => {
      const form = new FormData()
      for (const [name, value, file] of fields) {
        if (file) form.append(name, new File([value], 'f.bin'))
        else form.append(name, value)
      }
      const response = new Response(form)
      const boundary = /boundary=(.*)$/.exec(response.headers.get('content-type')!)![1]
      const found = readMultipart(new Uint8Array(await response.arrayBuffer()), boundary)
      if (fields.some(([name]) => /["\\\r\n]|%(?:22|0a|0d)/i.test(name))) return
      const expected: Record<string, string[]> = Object.create(null)
      for (const [name, value] of form)
        (expected[name] ??= []).push(
          typeof value === 'string' ? value.replaceAll(/\r?\n|\r(?!\n)/g, '\r\n') : await value.text(),
        )
      expect(found).toEqual({ values: expected })
    }),
  )
})

test('no bytes throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readMultipart(bytes, 'b')))
})
