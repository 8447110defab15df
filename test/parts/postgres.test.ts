import { Client } from 'pg'
import { afterAll, beforeAll, expect } from 'vitest'
import { needs } from './needs.ts'
import { type RunningPostgres, startPostgres } from './postgres.ts'

const test = needs('postgres')

let server: RunningPostgres
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server?.remove())

async function query(text: string, url = server.url): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

test('a row that was committed is still there after the server was killed', async () => {
  await query('create table entry (n int)')
  await query('insert into entry values (7)')
  await server.kill()
  await expect(query('select 1')).rejects.toThrow('ECONNREFUSED')
  await server.restart()
  expect(await query('select n from entry')).toEqual([{ n: 7 }])
})

test('the password is asked for, on loopback too', async () => {
  await expect(query('select 1', server.url.replace('correct-horse', 'wrong'))).rejects.toThrow('password')
})
