import assert from 'node:assert/strict';
import { test } from 'node:test';
import { consoleDefinition, formatConsole } from './console.ts';
import { serviceDefinitions } from './services.ts';

test('the console is given the addresses of the services before it, and the galleries’ pictures', () => {
  const { entry, port, argumentsFor } = consoleDefinition('/project', '/data', 50_051);
  assert.deepEqual([entry, port], ['/project/services/console/src/main.ts', 8_080]);
  const flags = argumentsFor('127.0.0.1:8080', new Map([['ranker', '127.0.0.1:3']]));
  const flagValue = (flag: string) => flags[flags.indexOf(flag) + 1];
  assert.equal(flagValue('--ranker-address'), '127.0.0.1:3');
  assert.equal(flagValue('--pictures-folder'), '/data/galleries');
  assert.ok(!flags.includes('--crawler-address'), 'a service that is not started has its default');
  assert.equal(consoleDefinition('/project', '/data', 0).port, 0);
});

test('what to open is a link', () => {
  const services = new Map([['console', { address: '127.0.0.1:8080', metrics: null }]]);
  assert.match(formatConsole(services), /^open http:\/\/127\.0\.0\.1:8080 /);
  assert.match(formatConsole(services, '/certs'), /^open https:\/\/127\.0\.0\.1:8080 /);
});

test('with a folder of certificates every service but the shop has its own', () => {
  const definitions = [
    ...serviceDefinitions('/project', '/data', 0, '/certs'),
    consoleDefinition('/project', '/data', 0, '/certs'),
  ];
  for (const { name, argumentsFor } of definitions) {
    const flags = argumentsFor('127.0.0.1:0', new Map());
    const key = flags[flags.indexOf('--tls-key') + 1];
    if (name === 'fixture-shop') assert.ok(!flags.includes('--tls-key'));
    else assert.equal(key, `/certs/${name}/tls.key`);
  }
  for (const { argumentsFor } of serviceDefinitions('/project', '/data', 0))
    assert.ok(!argumentsFor('127.0.0.1:0', new Map()).some((flag) => flag.startsWith('--tls')));
});
