import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createRankerClient, createTrainerClient } from '@online-cnclip/client';
import { toVector } from '@online-cnclip/contracts';
import { CreateIndexRequest, UpsertItemsRequest } from '@online-cnclip/contracts/ranker/v1';
import { AdaptationOptions, RunState } from '@online-cnclip/contracts/trainer/v1';
import {
  type CollectedSpan,
  type FakeCollector,
  startFakeCollector,
} from '@online-cnclip/service-kit/testing';
import { CHECKPOINT, ServiceStack, SMALL_TOWERS, untilServing } from './stack.ts';

// Who called whom, over the real services. A guard against a hang, not a measure.
const TIMEOUT_MS = 300_000;
const cli = fileURLToPath(new URL('../../../services/cli/src/main.ts', import.meta.url));

describe('traces across the services', { timeout: TIMEOUT_MS }, () => {
  const stack = new ServiceStack();
  let collector: FakeCollector;
  let traced: { 'traces-endpoint': string; 'data-folder': string };
  before(async () => {
    collector = await startFakeCollector();
    traced = { 'traces-endpoint': collector.endpoint, 'data-folder': stack.dataFolder };
    await stack.writeCheckpoint();
  });
  after(() => {
    stack.close();
    collector.close();
  });

  /** The spans from a root to the one that is named last, `service name`; each has to be the parent of the next. */
  async function chain(...names: string[]): Promise<CollectedSpan[]> {
    const matches = (span: CollectedSpan, name: string) => `${span.service} ${span.name}`.endsWith(name);
    const last = names.at(-1) ?? '';
    let span: CollectedSpan | undefined = await collector.waitFor((one) => matches(one, last));
    const found: CollectedSpan[] = [];
    while (span) {
      found.unshift(span);
      const { parentId }: CollectedSpan = span;
      span = parentId ? await collector.waitFor(({ spanId }) => spanId === parentId) : undefined;
    }
    const described = found.map((one) => `${one.service} ${one.name}`);
    assert.equal(described.length, names.length, described.join(' > '));
    found.forEach((one, i) => {
      assert.ok(matches(one, names[i] ?? ''), `${described[i]} is not ${names[i]}`);
      assert.equal(one.traceId, found[0]?.traceId);
    });
    return found;
  }

  test('a search: command line, ranker, encoder, its batch', async () => {
    const towers = {
      'vision-model': SMALL_TOWERS.visionModel,
      'text-model': SMALL_TOWERS.textModel,
      checkpoint: CHECKPOINT,
      'compute-threads': '1',
    };
    const encoder = await stack.start('encoder', { ...traced, ...towers });
    const ranker = await stack.start('ranker', { ...traced, 'encoder-address': encoder.address });
    await Promise.all([untilServing(encoder), untilServing(ranker)]);
    const client = createRankerClient(ranker.address);
    const { index } = await client.createIndex(CreateIndexRequest.fromPartial({ name: 'shop' }));
    const vector = toVector(new Float32Array(index?.dimension ?? 0).fill(1));
    const items = [{ id: 1n, content: { $case: 'vector' as const, value: vector } }];
    const { modelFingerprint = '' } = index ?? {};
    await client.upsertItems([UpsertItemsRequest.fromPartial({ index: 'shop', items, modelFingerprint })]);
    client.close();
    const child = spawn(process.execPath, [cli, 'search', '红色连衣裙', '--address', ranker.address], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint },
    });
    const [code] = await once(child, 'exit');
    assert.equal(code, 0);
    for (const end of ['encoder batch wait', 'encoder compute'])
      await chain(
        'cnclip cnclip search',
        'cnclip onlinecnclip.ranker.v1.RankerService/Search',
        'ranker onlinecnclip.ranker.v1.RankerService/Search',
        'ranker onlinecnclip.encoder.v1.EncoderService/EncodeText',
        'encoder onlinecnclip.encoder.v1.EncoderService/EncodeText',
        end,
      );
    assert.deepEqual(await Promise.all([ranker.stop(), encoder.stop()]), [0, 0]);
  });

  test('a run: trainer, its process, crawler, a query; and a request to the console', async () => {
    const crawler = await stack.start('crawler', { ...traced, 'session-wait-ms': '1' });
    const trainer = await stack.start('trainer', {
      ...traced,
      'crawler-address': crawler.address,
      threads: '1',
    });
    const { 'data-folder': _, ...endpoint } = traced;
    const console_ = await stack.start('console', { ...endpoint, 'trainer-address': trainer.address });
    stack.write('queries.jsonl', '{"text_id": 1, "text": "红色连衣裙", "image_ids": []}\n');
    const client = createTrainerClient(trainer.address);
    const options = AdaptationOptions.fromPartial({
      ...SMALL_TOWERS,
      name: 'online',
      model: CHECKPOINT,
      queries: 'queries.jsonl',
      maxEpochs: 1,
      contextLength: 12,
      numWorkers: 0,
    });
    await client.startAdaptation({ options });
    for await (const { event } of client.watchRun({ name: 'online' }))
      if (event?.$case === 'run') assert.notEqual(event.value.state, RunState.RUN_STATE_FAILED);
    client.close();
    await chain(
      'trainer onlinecnclip.trainer.v1.TrainerService/StartAdaptation',
      'training run adapt',
      'training onlinecnclip.crawler.v1.CrawlerService/Crawl',
      'crawler onlinecnclip.crawler.v1.CrawlerService/Crawl',
      'crawler crawl query',
    );
    await chain(
      'trainer onlinecnclip.trainer.v1.TrainerService/StartAdaptation',
      'training run adapt',
      'training online step',
    );
    const page = await fetch(`http://${console_.address}/api/runs/online/checkpoints`);
    assert.equal(page.status, 200);
    const [request] = await chain(
      'console GET /api/runs/:name/checkpoints',
      'console onlinecnclip.trainer.v1.TrainerService/ListCheckpoints',
      'trainer onlinecnclip.trainer.v1.TrainerService/ListCheckpoints',
    );
    assert.equal(request?.attributes['http.response.status_code'], 200);
    // The console has asked for the runs by itself meanwhile: nobody wants to see that.
    assert.deepEqual(
      collector.spans.filter(({ service, name }) => service === 'console' && name.endsWith('/ListRuns')),
      [],
    );
    assert.deepEqual(await Promise.all([console_.stop(), trainer.stop(), crawler.stop()]), [0, 0, 0]);
  });
});
