import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { Client, credentials } from '@grpc/grpc-js';
import { createHealthClient, type HealthClient } from '@online-cnclip/client';
import { EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import { silentLogger, UnavailableError } from '@online-cnclip/foundation';
import { createService, type Handlers, HEALTH_SERVICE, implement, LIVENESS, type Service } from './index.ts';

const ENCODER = 'onlinecnclip.encoder.v1.EncoderService';
let service: Service;
let client: Client;
let health: HealthClient;

before(async () => {
  const handlers = {} as Handlers<typeof EncoderServiceService>;
  for (const name of Object.keys(EncoderServiceService))
    Object.assign(handlers, { [name]: async () => ({}) });
  service = createService({
    name: 'encoder',
    logger: silentLogger,
    implementations: [implement(EncoderServiceService, handlers)],
  });
  const address = await service.listen('127.0.0.1:0');
  client = new Client(address, credentials.createInsecure());
  health = createHealthClient(address);
});
after(async () => {
  client.close();
  health.close();
  await service.close();
});

// The messages of both protocols, by the field numbers of their .proto files.
const message = (field: number, text: string) =>
  Buffer.from(
    new BinaryWriter()
      .uint32((field << 3) | 2)
      .string(text)
      .finish(),
  );
function fields(bytes: Uint8Array): [field: number, value: Uint8Array | number][] {
  const reader = new BinaryReader(bytes);
  const all: [number, Uint8Array | number][] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    all.push([field, wireType === 2 ? reader.bytes() : reader.uint32()]);
  }
  return all;
}
const bytesOf = (value: Uint8Array | number | undefined) =>
  value instanceof Uint8Array ? value : new Uint8Array();
const textOf = (value: Uint8Array | number | undefined) => Buffer.from(bytesOf(value)).toString();
const same = (bytes: Buffer) => bytes;

async function reflect(version: string, request: Buffer): Promise<Map<number, Uint8Array>> {
  const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
  const call = client.makeBidiStreamRequest(path, same, same);
  call.write(request);
  const [response] = await once(call, 'data');
  call.end();
  call.resume();
  await once(call, 'status');
  return new Map(fields(response).map(([field, value]) => [field, bytesOf(value)]));
}

for (const version of ['v1', 'v1alpha']) {
  test(`reflection ${version} lists the services`, async () => {
    const response = await reflect(version, message(7, ''));
    const names = fields(bytesOf(response.get(6))).map(([, entry]) => textOf(fields(bytesOf(entry))[0]?.[1]));
    for (const name of [ENCODER, HEALTH_SERVICE]) assert.ok(names.includes(name), `${name} not in ${names}`);
  });

  test(`reflection ${version} gives a symbol's file and all it imports`, async () => {
    for (const symbol of [
      ENCODER,
      `${ENCODER}.EncodeText`,
      'onlinecnclip.encoder.v1.Limits',
      HEALTH_SERVICE,
    ]) {
      const response = await reflect(version, message(4, symbol));
      const files = fields(bytesOf(response.get(4))).map(([, file]) => fields(bytesOf(file)));
      const names = files.map((file) => textOf(file.find(([field]) => field === 1)?.[1]));
      const imports = files.flatMap((file) =>
        file.filter(([field]) => field === 3).map(([, name]) => textOf(name)),
      );
      assert.ok(files.length > 0, `nothing for ${symbol}`);
      for (const name of imports) assert.ok(names.includes(name), `${symbol} without its import ${name}`);
    }
    const missing = await reflect(version, message(4, 'no.such.Symbol'));
    assert.ok(missing.has(7), 'an error response');
  });
}

const SERVING = 1;
const NOT_SERVING = 2;

async function check(name: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer | undefined>();
  client.makeUnaryRequest(`/${HEALTH_SERVICE}/Check`, same, same, message(1, name), (error, value) =>
    error ? reject(error) : resolve(value),
  );
  const status = fields((await promise) ?? new Uint8Array())[0]?.[1];
  return typeof status === 'number' ? status : undefined;
}

test('health is NOT_SERVING until the service says otherwise, and watchers hear of it', async () => {
  for (const name of ['', ENCODER]) assert.equal(await check(name), NOT_SERVING);
  const watch = client.makeServerStreamRequest(`/${HEALTH_SERVICE}/Watch`, same, same, message(1, ENCODER));
  const [first] = await once(watch, 'data');
  assert.equal(fields(first)[0]?.[1], NOT_SERVING);
  const second = once(watch, 'data');
  service.health.setServing(true);
  assert.equal(fields((await second)[0])[0]?.[1], SERVING);
  watch.on('error', () => {});
  watch.cancel();
  for (const name of ['', ENCODER]) assert.equal(await check(name), SERVING);
  service.health.setServing(false);
  for (const name of ['', ENCODER]) assert.equal(await check(name), NOT_SERVING);
  await assert.rejects(check('no.such.Service'), { code: 5 });
});

test('liveness is SERVING whatever the service waits for', async () => {
  for (const serving of [true, false]) {
    service.health.setServing(serving);
    assert.equal(await check(LIVENESS), SERVING);
  }
});

test('the client of grpc.health.v1 tells what the service says, and that nobody answers', async () => {
  const before = service.health.serving;
  service.health.setServing(false);
  assert.equal(await health.isServing(), false);
  service.health.setServing(true);
  assert.equal(await health.isServing(), true);
  service.health.setServing(before);
  const nobody = createHealthClient('127.0.0.1:1');
  await assert.rejects(nobody.isServing(), UnavailableError);
  nobody.close();
});
