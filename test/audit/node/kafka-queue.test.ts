import { expect, test } from 'vitest'
import { partitionQueue } from '../../../audit/node/kafka-queue.ts'

interface Batch {
  readonly partition: number
  readonly name: string
}

/** A queue whose requests are answered by hand. */
function queued(maxBytes = 10) {
  const requests: { readonly names: string; readonly answer: (thrown?: unknown) => void }[] = []
  const queue = partitionQueue<Batch>({
    maxBytes,
    sizeOf: ({ name }) => name.length,
    isOfOne: (thrown) => thrown === 'refused',
    send: (batches) =>
      new Promise((resolve, reject) => {
        requests.push({
          names: batches.map(({ name }) => name).join(' '),
          answer: (thrown) => (thrown === undefined ? resolve() : reject(thrown)),
        })
      }),
  })
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  const names = () => requests.map((request) => request.names)
  return { queue, requests, names, turn }
}

test('what comes together and what comes while a request is under way goes in one request, in its order', async () => {
  const { queue, requests, names, turn } = queued()
  const done = ['a', 'b'].map((name) => queue.publish({ partition: 0, name }))
  await turn()
  expect(names()).toEqual(['a b'])
  done.push(...['c', 'd', 'e'].map((name) => queue.publish({ partition: 0, name })))
  await turn()
  expect(names()).toEqual(['a b'])
  requests[0]!.answer()
  await turn()
  expect(names()).toEqual(['a b', 'c d e'])
  requests[1]!.answer()
  await Promise.all(done)
  await queue.idle()
})

test('a request holds as many bytes as it may and no more; what is larger goes alone', async () => {
  const { queue, requests, names, turn } = queued(4)
  const done = ['aa', 'bb', 'c', 'larger', 'd'].map((name) => queue.publish({ partition: 0, name }))
  for (let i = 0; i < 4; i++) {
    await turn()
    requests[i]!.answer()
  }
  await Promise.all(done)
  expect(names()).toEqual(['aa bb', 'c', 'larger', 'd'])
})

test('partitions do not wait for each other', async () => {
  const { queue, names, turn } = queued()
  void queue.publish({ partition: 0, name: 'a' })
  void queue.publish({ partition: 1, name: 'b' })
  await turn()
  expect(names()).toEqual(['a', 'b'])
})

test('refused together, each is sent alone, and only the one that is refused again fails', async () => {
  const { queue, requests, names, turn } = queued()
  const done = ['a', 'bad', 'c'].map((name) => queue.publish({ partition: 0, name }))
  const settled = Promise.allSettled(done)
  for (const thrown of ['refused', undefined, 'refused', undefined]) {
    await turn()
    requests.at(-1)!.answer(thrown)
  }
  expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(names()).toEqual(['a bad c', 'a', 'bad', 'c'])
})

test('what may be about the broker fails all of them, and nothing is sent by itself', async () => {
  const { queue, requests, names, turn } = queued()
  const settled = Promise.allSettled(['a', 'b'].map((name) => queue.publish({ partition: 0, name })))
  await turn()
  requests[0]!.answer('away')
  expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(names()).toEqual(['a b'])
  const again = queue.publish({ partition: 0, name: 'a' })
  await turn()
  requests[1]!.answer()
  await again
})
