import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  CancelledError,
  FailedPreconditionError,
  InvalidInputError,
  ResourceExhaustedError,
} from '@online-cnclip/foundation';
import { createPreprocessor, preprocess } from './index.ts';
import { readGolden } from './testing/goldens.ts';

const photo = readGolden('preprocessing/photo.jpg');
const html = readGolden('preprocessing/bad/html-not-image.jpg');

describe('preprocessor', () => {
  it('gives what preprocess gives, each item its own result', async () => {
    const preprocessor = createPreprocessor({ resolution: 64, augmentation: 'original', threads: 2 });
    try {
      const results = await preprocessor.runAll([photo, html, photo, new Uint8Array()], { seed: 5 });
      assert.deepEqual(results[0], await preprocess(photo, 64, { augmentation: 'original', seed: 5 }));
      assert.deepEqual(results[2], await preprocess(photo, 64, { augmentation: 'original', seed: 7 }));
      for (const bad of [results[1], results[3]]) {
        assert.ok(bad instanceof InvalidInputError);
        assert.equal(bad.place, 'image');
        assert.match(bad.message, /^image: is (none of|empty)/);
      }
      assert.ok(photo.length > 0, 'the caller keeps its bytes');
    } finally {
      await preprocessor.close();
    }
  });

  it('keeps the event loop free', async () => {
    const preprocessor = createPreprocessor({ resolution: 224, threads: 1 });
    try {
      await preprocessor.run(photo);
      let ticks = 0;
      const timer = setInterval(() => ticks++, 1);
      await preprocessor.runAll(Array.from({ length: 30 }, () => photo));
      clearInterval(timer);
      assert.ok(ticks > 5, `${ticks} ticks`);
    } finally {
      await preprocessor.close();
    }
  });

  it('drops what waits when the signal is aborted, and goes on with the rest', async () => {
    const preprocessor = createPreprocessor({ resolution: 32, threads: 1 });
    try {
      const controller = new AbortController();
      const kept = preprocessor.run(photo);
      const running = Array.from({ length: 3 }, () => preprocessor.run(photo, { signal: controller.signal }));
      const settled = Promise.allSettled(running);
      controller.abort();
      for (const result of await settled)
        assert.ok(result.status === 'rejected' && result.reason instanceof CancelledError);
      assert.equal((await kept).length, 3 * 32 * 32);
      await assert.rejects(preprocessor.runAll([photo], { signal: controller.signal }), CancelledError);
      assert.equal((await preprocessor.run(photo)).length, 3 * 32 * 32);
    } finally {
      await preprocessor.close();
    }
  });

  it('lets go of a running image at once', async () => {
    const preprocessor = createPreprocessor({ resolution: 32, threads: 1 });
    try {
      await preprocessor.run(photo);
      const running = preprocessor.run(photo, { signal: AbortSignal.abort(new Error('already')) });
      await assert.rejects(running, CancelledError);
      const controller = new AbortController();
      const started = preprocessor.run(photo, { signal: controller.signal });
      setImmediate(() => controller.abort());
      await assert.rejects(started, CancelledError);
      assert.equal((await preprocessor.run(photo)).length, 3 * 32 * 32);
    } finally {
      await preprocessor.close();
    }
  });

  it('refuses what does not fit into the queue', async () => {
    const preprocessor = createPreprocessor({ resolution: 32, threads: 1, maxQueued: 1 });
    try {
      const results = await preprocessor.runAll([photo, photo, photo]);
      assert.deepEqual(
        results.map((result) => result instanceof ResourceExhaustedError),
        [false, false, true],
      );
    } finally {
      await preprocessor.close();
    }
  });

  it('finishes what was accepted when it is closed, and takes nothing more', async () => {
    const preprocessor = createPreprocessor({ resolution: 32, threads: 1 });
    const accepted = preprocessor.runAll([photo, photo, photo]);
    const closed = preprocessor.close();
    assert.ok((await accepted).every((result) => result instanceof Float32Array));
    await closed;
    await preprocessor.close();
    await assert.rejects(preprocessor.run(photo), FailedPreconditionError);
  });

  it('refuses options that make no sense', () => {
    for (const resolution of [0, 2.5, -1, Number.NaN, 100_000])
      assert.throws(() => createPreprocessor({ resolution }), InvalidInputError);
    assert.throws(() => createPreprocessor({ resolution: 32, threads: 0 }), InvalidInputError);
  });
});
