// docs/clients.md: a grpcurl command for every call, with a request that the contract knows.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createFileRegistry, fromBinary, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { descriptorSetPath } from '@online-cnclip/contracts';

const page = readFileSync(fileURLToPath(new URL('../../../../docs/clients.md', import.meta.url)), 'utf8');
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptorSetPath)));
const commands = [...page.matchAll(/^ {4}grpcurl (.*)$/gm)].map(([, text = '']) => text);
/** `package.Service/Method` of each, with its requests. */
const calls = commands.flatMap((command) => {
  const [, method] = / ([\w.]+\/\w+)$/.exec(command) ?? [];
  if (method === undefined) return [];
  return [{ method, requests: requestsOf(/ -d '([^']*)'/.exec(command)?.[1] ?? '{}') }];
});

/** JSON values one after the other, as grpcurl takes them for a stream. */
function requestsOf(text: string): JsonValue[] {
  const values: JsonValue[] = [];
  for (let rest = text.trim(); rest !== ''; ) {
    let end = rest.indexOf('}') + 1;
    while (end > 0 && !isJson(rest.slice(0, end))) end = rest.indexOf('}', end) + 1;
    assert.ok(end > 0, `not JSON: ${rest}`);
    values.push(JSON.parse(rest.slice(0, end)));
    rest = rest.slice(end).trim();
  }
  return values;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test('every call of every service that clients use has a command', () => {
  const named = new Set(calls.map(({ method }) => method));
  const services = [...registry].filter(
    (one) => one.kind === 'service' && one.typeName.startsWith('onlinecnclip.'),
  );
  const all = services.flatMap((service) =>
    service.kind === 'service' ? service.methods.map(({ name }) => `${service.typeName}/${name}`) : [],
  );
  const missing = all.filter((method) => !named.has(method) && !method.startsWith('onlinecnclip.replicas.'));
  assert.ok(all.length > 30, String(all.length));
  assert.deepEqual(missing, []);
});

test('every request is one that the contract knows, field by field', () => {
  for (const { method, requests } of calls) {
    const [service = '', name = ''] = method.split('/');
    const input = registry.getService(service)?.methods.find((one) => one.name === name)?.input;
    assert.ok(input, `${method} is in no contract`);
    for (const request of requests) assert.ok(fromJson(input, request));
  }
});

test('a field that the contract does not know is seen', () => {
  const input = registry.getMessage('onlinecnclip.ranker.v1.SearchRequest');
  assert.ok(input);
  assert.throws(() => fromJson(input, { index: 'a', top: 1 }), /top/);
});
