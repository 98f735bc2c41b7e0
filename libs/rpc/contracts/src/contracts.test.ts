import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ApplicationError, InvalidInputError, NotFoundError } from '@online-cnclip/foundation';
import { Vector, VectorFormat } from './gen/onlinecnclip/common/v1/common.ts';
import { CrawlerServiceService } from './gen/onlinecnclip/crawler/v1/crawler.ts';
import { EncodeRequest, EncoderServiceService } from './gen/onlinecnclip/encoder/v1/encoder.ts';
import { RankerServiceService } from './gen/onlinecnclip/ranker/v1/ranker.ts';
import { TrainerServiceService } from './gen/onlinecnclip/trainer/v1/trainer.ts';
import {
  descriptorSetPath,
  errorOfItem,
  errorOfStatus,
  fromVector,
  ITEM_OK,
  RemoteError,
  requireBatchSize,
  STATUS_OF_KIND,
  serviceName,
  toVector,
} from './index.ts';

test('every kind of error comes back as the class it was', () => {
  for (const [kind, code] of Object.entries(STATUS_OF_KIND)) {
    const error = errorOfStatus(code, 'text');
    assert.ok(error instanceof ApplicationError);
    assert.equal(error.kind, kind);
    assert.equal(error.message, 'text');
  }
  const internal = errorOfStatus(13, 'text');
  assert.ok(internal instanceof RemoteError);
  assert.equal(internal.code, 13);
});

test('an item that failed has an error, one that did not has none', () => {
  assert.equal(errorOfItem(ITEM_OK), undefined);
  assert.equal(errorOfItem(undefined), undefined);
  assert.ok(errorOfItem({ code: 5, message: 'gone' }) instanceof NotFoundError);
});

test('vectors survive both forms over the wire, at any alignment', () => {
  const numbers = new Float32Array([1.5, -2, 3.25e-20, 0]);
  for (const format of [VectorFormat.VECTOR_FORMAT_UNSPECIFIED, VectorFormat.VECTOR_FORMAT_LITTLE_ENDIAN]) {
    const wire = Vector.encode(toVector(numbers, format)).finish();
    assert.deepEqual(fromVector(Vector.decode(wire), 'v', 4), numbers);
  }
  const odd = Buffer.alloc(17);
  odd.writeFloatLE(7.5, 1);
  const decoded = fromVector({ values: [], littleEndian: odd.subarray(1, 5) }, 'v');
  assert.deepEqual(decoded, new Float32Array([7.5]));
});

test('vectors that are none are refused by place', () => {
  const bad = [
    { values: [], littleEndian: Buffer.alloc(0) },
    { values: [1], littleEndian: Buffer.alloc(4) },
    { values: [], littleEndian: Buffer.alloc(5) },
    { values: [1, 2], littleEndian: Buffer.alloc(0) },
  ];
  for (const vector of bad)
    assert.throws(
      () => fromVector(vector, 'queries[3]', 4),
      (error: unknown) => error instanceof InvalidInputError && error.place === 'queries[3]',
    );
});

test('batches over the limit are refused', () => {
  requireBatchSize(3, 'texts', 3);
  assert.throws(() => requireBatchSize(4, 'texts', 3), /texts: 4 items in one batch, at most 3/);
});

test('ids keep all of their 64 bits', () => {
  const itemId = 9_007_199_254_740_993n;
  const wire = EncodeRequest.encode(
    EncodeRequest.fromPartial({ itemId, item: { $case: 'text', value: '猫' } }),
  );
  const decoded = EncodeRequest.decode(wire.finish());
  assert.equal(decoded.itemId, itemId);
  assert.deepEqual(decoded.item, { $case: 'text', value: '猫' });
});

test('the descriptor set holds every service and health checking', () => {
  const set = readFileSync(descriptorSetPath);
  const services = [
    CrawlerServiceService,
    EncoderServiceService,
    RankerServiceService,
    TrainerServiceService,
  ];
  for (const definition of services) {
    const [, service, version, name] = serviceName(definition).split('.');
    assert.ok(set.includes(`onlinecnclip/${service}/${version}/${service}.proto`));
    assert.ok(set.includes(name ?? ''));
  }
  assert.ok(set.includes('grpc.health.v1'));
});
