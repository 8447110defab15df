/** Every real part by name. */

import { axe } from './axe.ts'
import { chromium } from './chromium.ts'
import { compose } from './compose.ts'
import { conformance } from './conformance.ts'
import { dockerfile } from './dockerfile.ts'
import { envoy } from './envoy.ts'
import { h2spec } from './h2spec.ts'
import { kafka } from './kafka.ts'
import { netns } from './netns.ts'
import { nginx } from './nginx.ts'
import { opa } from './opa.ts'
import { opaWasm } from './opa-wasm.ts'
import type { Part } from './part.ts'
import { curl, go, openssl } from './plain.ts'
import { postgres } from './postgres.ts'
import { python } from './python.ts'
import { registry } from './registry.ts'
import { s3 } from './s3.ts'
import { trestle } from './trestle.ts'
import { vegeta } from './vegeta.ts'
import { workerd } from './workerd.ts'

export type PartName =
  | 'axe'
  | 'chromium'
  | 'compose'
  | 'conformance'
  | 'curl'
  | 'dockerfile'
  | 'envoy'
  | 'go'
  | 'h2spec'
  | 'kafka'
  | 'netns'
  | 'nginx'
  | 'opa'
  | 'opaWasm'
  | 'openssl'
  | 'postgres'
  | 'python'
  | 'registry'
  | 's3'
  | 'trestle'
  | 'vegeta'
  | 'workerd'

export const parts: Readonly<Record<PartName, Part>> = {
  kafka,
  postgres,
  python,
  registry,
  s3,
  opa,
  opaWasm,
  netns,
  nginx,
  axe,
  chromium,
  workerd,
  trestle,
  vegeta,
  curl,
  openssl,
  compose,
  conformance,
  dockerfile,
  envoy,
  go,
  h2spec,
}
