/** Connections of HTTP/2 by chance: frames that are good, bad by hand, or bent. */

import { badFrames, block, frame, preface } from '../bad/http2.ts'
import { bend } from './generate.ts'
import type { Random } from './random.ts'

const good = block([
  ...([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':authority', 'orders'],
    [':path', '/a'],
  ] as const),
])

/** It ends with a frame that ends the connection, whatever came before. */
export function makeFrames(random: Random): Buffer {
  const parts: Buffer[] = [preface]
  for (let i = 1 + random.below(4); i > 0; i--) {
    const stream = 1 + 2 * random.below(3)
    const whole = random.pick([
      () => frame(1, 4 | random.below(2), stream, good),
      () => frame(0, random.below(2), stream, Buffer.alloc(random.below(100), 'd')),
      () => frame(random.below(12), random.below(256), random.below(4), Buffer.alloc(random.below(20))),
      () => random.pick(badFrames)[1],
    ])()
    parts.push(random.oneIn(2) ? Buffer.from(bend(random, whole.toString('latin1')), 'latin1') : whole)
  }
  return Buffer.concat([...parts, frame(6, 0, 1, Buffer.alloc(8))])
}
