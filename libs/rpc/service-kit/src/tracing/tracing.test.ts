import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import { createEncoderClient } from '@online-cnclip/client';
import { RemoteError } from '@online-cnclip/contracts';
import { EncodeRequest, TokenizeRequest } from '@online-cnclip/contracts/encoder/v1';
import { createLogger } from '@online-cnclip/foundation';
import { inSpan, startTracing, traceparent } from '../index.ts';
import { type CollectedSpan, type FakeCollector, startFakeCollector } from '../testing/fake-collector.ts';

const SERVICE = 'onlinecnclip.encoder.v1.EncoderService';
const program = (name: string) => fileURLToPath(new URL(`../testing/${name}.ts`, import.meta.url));
const children: ChildProcess[] = [];
let collector: FakeCollector;

before(async () => {
  collector = await startFakeCollector();
});
after(() => {
  for (const child of children) child.kill('SIGKILL');
  collector.close();
});

async function start(name: string, flags: readonly string[]) {
  const loopback = ['--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0'];
  const child = spawn(process.execPath, [program(name), ...loopback, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let log = '';
  child.stderr.on('data', (chunk) => (log += chunk));
  const ended = once(child, 'close').then(([code]) => {
    const lines: Record<string, unknown>[] = log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    return { code, lines };
  });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return { child, ended, ...(JSON.parse(line) as { address: string; metrics: string }) };
}

const stop = ({ child, ended }: Awaited<ReturnType<typeof start>>) => {
  child.kill('SIGTERM');
  return ended;
};

const request = TokenizeRequest.fromPartial({ texts: ['猫', '狗'], contextLength: 1 });
const silent = createLogger('test', 'silent');

test('a call through two services is one trace with the right parents, attributes and log lines', async () => {
  const traced = ['--traces-endpoint', collector.endpoint];
  const echo = await start('echo-service', traced);
  const relay = await start('relay-service', [...traced, '--next', echo.address]);
  const options = { service: 'caller', endpoint: collector.endpoint, ratio: 1, logger: silent };
  const tracing = await startTracing(options);
  const client = createEncoderClient(relay.address);
  try {
    await inSpan('search', { queries: 2 }, () => client.tokenize(request, { requestId: 'mine' }));
    await assert.rejects(client.getModel({}), RemoteError);
    const stream = client.encode([1n, 2n].map((itemId) => EncodeRequest.fromPartial({ itemId })));
    for await (const { itemId } of stream) if (itemId === 1n) break;
  } finally {
    client.close();
    await tracing.close();
  }
  const [{ code, lines }] = await Promise.all([stop(relay), stop(echo)]);
  assert.equal(code, 0);

  const one = (service: string, name: string): CollectedSpan => {
    const found = collector.spans.filter((span) => span.service === service && span.name === name);
    assert.equal(found.length, 1, `${service} ${name}: ${found.length}`);
    return found[0] as CollectedSpan;
  };
  const tokenize = `${SERVICE}/Tokenize`;
  const chain = [
    one('caller', 'search'),
    one('caller', tokenize),
    collector.spans.find(({ service, name, kind }) => service === 'relay' && name === tokenize && kind === 2),
    collector.spans.find(({ service, name, kind }) => service === 'relay' && name === tokenize && kind === 3),
    one('echo', tokenize),
  ] as CollectedSpan[];
  assert.deepEqual(
    chain.map(({ parentId }) => parentId),
    ['', ...chain.slice(0, -1).map(({ spanId }) => spanId)],
  );
  assert.deepEqual(new Set(chain.map(({ traceId }) => traceId)).size, 1);
  assert.deepEqual(
    chain.map(({ kind }) => kind),
    [1, 3, 2, 3, 2],
  );
  const [search, , relayed] = chain as [CollectedSpan, CollectedSpan, CollectedSpan];
  assert.equal(search.attributes.queries, 2);
  assert.deepEqual(
    { ...relayed.attributes, 'network.peer.address': '' },
    {
      'rpc.system': 'grpc',
      'rpc.service': SERVICE,
      'rpc.method': 'Tokenize',
      'rpc.grpc.status_code': status.OK,
      'network.peer.address': '',
      'onlinecnclip.request_id': 'mine',
    },
  );
  const noted = one('relay', 'relaying');
  assert.deepEqual([noted.parentId, noted.attributes.texts], [relayed.spanId, 2]);
  assert.ok(noted.startNanoseconds >= relayed.startNanoseconds - 1_000_000n);
  assert.ok(noted.endNanoseconds <= relayed.endNanoseconds + 1_000_000n);

  const failed = collector.spans.filter(({ name }) => name === `${SERVICE}/GetModel`);
  assert.deepEqual(
    failed.map(({ attributes, statusCode }) => [attributes['rpc.grpc.status_code'], statusCode]),
    [
      [status.INTERNAL, 2],
      [status.INTERNAL, 2],
    ],
  );
  const left = one('caller', `${SERVICE}/Encode`);
  assert.deepEqual([left.attributes['rpc.grpc.status_code'], left.statusCode], [status.CANCELLED, 0]);

  const logged = (msg: string) => lines.find((line) => line.msg === msg);
  assert.equal(logged('passed on')?.trace_id, relayed.traceId);
  assert.equal(logged('passed on')?.span_id, relayed.spanId);
  const defect = logged('defect in a handler');
  assert.equal(defect?.trace_id, failed[0]?.traceId);
  assert.equal(logged('no call yet')?.trace_id, undefined);
});

test('a collector that is down, or never answers, harms no call and holds up no shutdown', async () => {
  const deaf = await startFakeCollector(Number.POSITIVE_INFINITY);
  for (const endpoint of ['http://127.0.0.1:1', deaf.endpoint]) {
    const echo = await start('echo-service', ['--traces-endpoint', endpoint]);
    const client = createEncoderClient(echo.address);
    assert.equal((await client.tokenize(request)).texts.length, 2);
    client.close();
    const { code, lines } = await stop(echo);
    assert.equal(code, 0);
    // Said once, by whichever of the two gave up.
    const said = lines.filter(({ msg }) => /spans/.test(String(msg)));
    assert.ok(said.length >= 1, JSON.stringify(lines));
  }
  deaf.close();
});

test('spans that were sent are counted, and so are those that were lost', async () => {
  const echo = await start('echo-service', ['--traces-endpoint', collector.endpoint]);
  const client = createEncoderClient(echo.address);
  await client.tokenize(request);
  client.close();
  await collector.waitFor(({ service, name }) => service === 'echo' && name.endsWith('Tokenize'));
  let page = '';
  while (!/onlinecnclip_trace_spans_total\{[^}]*result="sent"[^}]*\} [1-9]/.test(page))
    page = await (await fetch(`http://${echo.metrics}/metrics`)).text();
  assert.equal((await stop(echo)).code, 0);
});

test('what the configuration cannot mean is refused by name', async () => {
  for (const [flag, value, said] of [
    ['--traces-endpoint', 'collector:4318', /--traces-endpoint: "collector:4318" is not valid/],
    ['--traces-ratio', '2', /--traces-ratio: "2" is not valid/],
  ] as const) {
    const child = spawn(process.execPath, [program('echo-service'), flag, value], { stdio: 'pipe' });
    let text = '';
    child.stderr.on('data', (chunk) => (text += chunk));
    const [code] = await once(child, 'close');
    assert.equal(code, 2);
    assert.match(text, said);
  }
});

test('the share of traces that are kept is decided where they begin', async () => {
  const { spans } = collector;
  const before = spans.length;
  const echo = await start('echo-service', ['--traces-endpoint', collector.endpoint, '--traces-ratio', '0']);
  const client = createEncoderClient(echo.address);
  await client.tokenize(request);
  client.close();
  assert.equal((await stop(echo)).code, 0);
  assert.deepEqual(spans.slice(before), []);
});

test('without an endpoint nothing is traced, and no tracer is loaded', async () => {
  const tracing = await startTracing({ service: 'caller', endpoint: undefined, ratio: 1, logger: silent });
  assert.equal(await inSpan('work', {}, async () => traceparent()), undefined);
  await tracing.close();
});
