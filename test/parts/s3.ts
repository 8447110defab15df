/** An S3-compatible object store: versitygw over a folder, where a bucket is a folder and an object a file. */

import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { s3Place } from '../../audit/node/objects/place.ts'
import { type Objects, openObjects, signerOf } from '../../audit/node/objects/s3.ts'
import { startChild } from './child.ts'
import { goProgram } from './find.ts'
import { type Part, type Running, running } from './part.ts'
import { freePort, portAnswers } from './ports.ts'

export const s3: Part = {
  install: 'Go, to build it with',
  prepare: (say) => goProgram('versitygw', 'github.com/versity/versitygw/cmd/versitygw', 'v1.8.0', say),
}

/** Who may do everything, in the words of the environment. */
export const s3Env = { AWS_ACCESS_KEY_ID: 'writ', AWS_SECRET_ACCESS_KEY: 'writ-secret', AWS_REGION: 'us-east-1' }

export interface RunningS3 extends Running {
  readonly url: string
  /** With the endpoint: what a command is given to find it. */
  readonly env: NodeJS.ProcessEnv
  objects(url: string): Objects
  makeBucket(name: string): Promise<void>
  /** Lets anybody get what is in it, and nothing else. */
  makePublic(bucket: string): Promise<void>
  /** What is in the file of an object; that others change it is not asked of the store. */
  file(bucket: string, key: string): string
}

export async function startS3(): Promise<RunningS3> {
  const program = await s3.prepare(() => undefined)
  const folder = await mkdtemp(join(tmpdir(), 'writ-s3-'))
  const [root, sidecar] = [join(folder, 'buckets'), join(folder, 'metadata')]
  await mkdir(root)
  await mkdir(sidecar)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const args = ['--access', s3Env.AWS_ACCESS_KEY_ID, '--secret', s3Env.AWS_SECRET_ACCESS_KEY, '--quiet']
  const part = await running(folder, async () => {
    const child = startChild(program, [...args, '--port', `127.0.0.1:${port}`, 'posix', '--sidecar', sidecar, root], {
      cwd: folder,
      env: { PATH: process.env['PATH'] },
    })
    await portAnswers(port, 15_000, child.ended)
    return child
  })
  const env = { ...s3Env, AWS_ENDPOINT_URL_S3: url }
  return {
    ...part,
    url,
    env,
    objects: (place) => openObjects(s3Place(place, {}, env)),
    makePublic: async (bucket) => {
      const Statement = [
        { Effect: 'Allow', Principal: '*', Action: ['s3:GetObject'], Resource: [`arn:aws:s3:::${bucket}/*`] },
      ]
      const body = new TextEncoder().encode(JSON.stringify({ Version: '2012-10-17', Statement }))
      const headers = await signerOf(s3Place(`s3://${bucket}`, {}, env))(
        ...(['PUT', new URL(`/${bucket}`, url), { policy: '' }, {}, body] as const),
      )
      const answer = await fetch(`${url}/${bucket}?policy=`, { method: 'PUT', headers, body })
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
    },
    makeBucket: (name) => mkdir(join(root, name)),
    file: (bucket, key) => join(root, bucket, key),
  }
}
