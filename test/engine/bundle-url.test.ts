import { expect, test } from 'vitest'
import { bundleUrl } from '../../engine/bundle-url.ts'

test('plain HTTP is for this machine; elsewhere it is HTTPS, without a password in the URL', () => {
  expect(bundleUrl('https://bundles.example/v1/', '/bundles/app')).toBe('https://bundles.example/v1/bundles/app')
  for (const url of ['http://127.0.0.1:8', 'http://localhost', 'http://[::1]:8'])
    expect(bundleUrl(url, 'x')).toContain('/x')
  for (const url of [
    'http://bundles.example',
    'http://127.0.0.1.example',
    'http://localhost.example',
    'http://10.0.0.1',
  ])
    expect(() => bundleUrl(url, 'x')).toThrow('plain HTTP')
  expect(() => bundleUrl('https://a:b@bundles.example', 'x')).toThrow('password')
  expect(() => bundleUrl('file:///etc', 'x')).toThrow('neither https nor http')
  expect(() => bundleUrl('bundles', 'x')).toThrow('no URL')
})
