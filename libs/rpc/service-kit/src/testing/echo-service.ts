// A whole service as small as one can be, for main.test.ts: tokenizes after as many milliseconds as the context is long.
import { setTimeout as sleep } from 'node:timers/promises';
import { EncoderServiceService } from '@online-cnclip/contracts/encoder/v1';
import { NotFoundError, setting, UnsupportedError } from '@online-cnclip/foundation';
import { z } from 'zod';
import { type Handlers, implement, runMain, serviceSettings } from '../index.ts';

const absent = async (): Promise<never> => {
  throw new UnsupportedError('this service only tokenizes');
};

const handlers: Handlers<typeof EncoderServiceService> = {
  tokenize: async ({ texts, contextLength }, { signal }) => {
    await sleep(contextLength, undefined, { signal });
    return { texts: texts.map(() => ({ status: undefined, ids: [], length: 0 })) };
  },
  getModel: absent,
  encodeText: absent,
  encodeImage: absent,
  // biome-ignore lint/correctness/useYield: it has nothing to give
  encode: async function* () {
    await absent();
  },
  loadModel: absent,
};

await runMain({
  name: 'echo',
  settings: {
    ...serviceSettings('echo', { listen: 50_999, metrics: 50_998 }),
    fail: setting('ECHO_FAIL', z.string().optional().describe('whether to fail at start')),
  },
  environment: process.env,
  flags: process.argv.slice(2),
  compose: async ({ config, logger, telemetry, health }) => {
    telemetry.gauge({ name: 'echo_queue_items', help: 'Texts waiting' }, () => 3);
    return {
      implementations: [implement(EncoderServiceService, handlers)],
      start: async () => {
        if (config.fail) throw new NotFoundError('is not there', { place: 'model' });
        health.setServing(true);
      },
      close: async () => logger.info('disposed'),
    };
  },
});
