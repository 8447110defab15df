/** The upstream's half of one exchange, whatever it speaks. */

import type { Onward } from '../exchange.ts'
import type { UpstreamFailure } from '../flow/problem.ts'
import type { Request } from '../http1/request.ts'
import type { Response } from '../http1/response.ts'
import type { Trailers } from '../http1/trailers.ts'

export interface Leg {
  /** Body of the request. False where the upstream is slower than the caller. */
  write(bytes: Uint8Array): boolean
  end(trailers: Trailers): void
  /** The caller takes more of the response's body. */
  resume(): void
  /** Nothing more is wanted: what has begun is broken off. */
  close(): void
}

/** Who listens to it. After `onBodyEnd` or `onFailure` nothing more is heard. */
export interface LegUser {
  /**
   * The head has been sent to `address:port`, and the body may follow. `sentAgain`: what was written of it before has been
   * sent again, and it goes on where it was.
   */
  onReady(upstream: string, sentAgain?: boolean): void
  onResponse(response: Response): void
  /** `bytes` are the listener's to keep. False holds further ones back until `resume`. */
  onBody(bytes: Uint8Array): boolean
  onBodyEnd(trailers: Trailers): void
  onDrain(): void
  onFailure(code: UpstreamFailure): void
}

export type OpenLeg = (request: Request, onward: Onward, user: LegUser) => Leg
