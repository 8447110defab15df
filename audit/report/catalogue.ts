/** Which parts of which frameworks each check bears on: identifiers only, and our own reading of them. */

export type CheckId = 'M01' | 'M02' | 'M04' | 'M06' | 'M08' | 'M09'

export interface Mapping {
  readonly framework: string
  readonly ids: readonly string[]
}

const frameworks = [
  'NIST SP 800-53 r5',
  'PCI DSS 4.0.1',
  'SOC 2 (TSC)',
  'HIPAA 45 CFR 164.312',
  'ISO/IEC 27001:2022',
  'FedRAMP 20x KSI',
] as const

const ids: Readonly<Record<CheckId, readonly (readonly string[])[]>> = {
  M01: [
    ['SC-8', 'SC-8(1)', 'AC-17(2)'],
    ['2.2.7', '4.2.1'],
    ['CC6.7'],
    ['(e)(1)', '(e)(2)(ii)'],
    ['8.20', '8.21', '8.24'],
    ['SVC-SNT'],
  ],
  M02: [
    ['AC-3', 'IA-3', 'IA-9', 'SC-23'],
    ['7.3.1', '8.2.1', '8.6'],
    ['CC6.1'],
    ['(a)(1)', '(d)'],
    ['5.15', '5.16', '8.5'],
    ['IAM-SNU', 'SVC-VCM'],
  ],
  M04: [['IA-5', 'IA-5(2)', 'SC-12', 'SC-17'], ['4.2.1', '4.2.1.1'], ['CC6.1'], ['(d)'], ['5.17', '8.24'], ['SVC-ASM']],
  M06: [
    ['SC-7(5)', 'AC-3', 'AC-6'],
    ['7.3.3', '1.3.1', '1.4.1'],
    ['CC6.1', 'CC6.6'],
    ['(a)(1)'],
    ['8.3', '8.22'],
    ['CNA-RNT', 'IAM-ELP'],
  ],
  M08: [
    ['AU-5', 'AU-9', 'AU-12', 'AU-12(1)'],
    ['10.2.1', '10.7.2'],
    ['CC7.2'],
    ['(b)'],
    ['8.15'],
    ['MLA-LET', 'MLA-OSM'],
  ],
  M09: [
    ['AU-9', 'AU-9(3)', 'AU-10', 'SI-7'],
    ['10.3.2', '10.3.4'],
    ['CC7.2', 'CC8.1'],
    ['(c)(1)', '(c)(2)'],
    ['5.33', '8.15'],
    ['MLA-OSM', 'SVC-VRI'],
  ],
}

export const mappingsOf = (id: CheckId): readonly Mapping[] =>
  frameworks.map((framework, i) => ({ framework, ids: ids[id][i]! }))

/** What telemetry of a mesh cannot show, whatever a report says. */
export const limits: readonly string[] = [
  'Traffic that never met a proxy. Only workloads that recorded are in the numbers; compare them with the platform’s own inventory.',
  'Encryption at rest, physical security, the state of vulnerabilities and patches.',
  'Users’ multi-factor log-in, training, staff, vendors, and the organisational parts of ISO 27001 and SOC 2.',
  'Whether a policy is the right one. A rule that is enforced without fail may still be wrong.',
  'Whether cryptographic modules are FIPS-validated. A version string is not a certificate.',
  'That whoever reviewed a record understood it.',
  'Anything from before the log began.',
  'Where card or health data flows, unless policies label it.',
  'Other processes on a host that use a workload’s own outbound listener on loopback.',
]
