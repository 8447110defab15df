/** Every real part by name. */

import { chromium } from './chromium.ts'
import { kafka } from './kafka.ts'
import { nginx } from './nginx.ts'
import { opa } from './opa.ts'
import type { Part } from './part.ts'
import { curl, openssl } from './plain.ts'
import { postgres } from './postgres.ts'
import { vegeta } from './vegeta.ts'
import { workerd } from './workerd.ts'

export type PartName = 'kafka' | 'postgres' | 'opa' | 'nginx' | 'chromium' | 'workerd' | 'vegeta' | 'curl' | 'openssl'

export const parts: Readonly<Record<PartName, Part>> = {
  kafka,
  postgres,
  opa,
  nginx,
  chromium,
  workerd,
  vegeta,
  curl,
  openssl,
}
