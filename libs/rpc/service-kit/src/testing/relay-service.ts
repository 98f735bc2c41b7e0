// A service that passes its calls on to another one, for the tests of tracing: describes no model, tokenizes over there.
import { createEncoderClient } from '@online-cnclip/client';
import { EncoderServiceService, TokenizeRequest } from '@online-cnclip/contracts/encoder/v1';
import { setting, UnsupportedError } from '@online-cnclip/foundation';
import { z } from 'zod';
import { implement, runMain, serviceSettings, traceOfCall } from '../index.ts';

const absent = async (): Promise<never> => {
  throw new UnsupportedError('this service only tokenizes');
};

await runMain({
  name: 'relay',
  settings: {
    ...serviceSettings('relay', { listen: 50_997, metrics: 50_996 }),
    next: setting('RELAY_NEXT', z.string().describe('where to pass calls on to')),
  },
  environment: process.env,
  flags: process.argv.slice(2),
  compose: async ({ config, logger, health }) => {
    const next = createEncoderClient(config.next);
    return {
      implementations: [
        implement(EncoderServiceService, {
          async tokenize({ texts, contextLength }, context) {
            const note = traceOfCall();
            const startedAt = performance.now();
            context.logger.info('passed on');
            const { signal, deadline, requestId } = context;
            const response = await next.tokenize(TokenizeRequest.fromPartial({ texts, contextLength }), {
              signal,
              deadline,
              requestId,
            });
            note?.({
              name: 'relaying',
              startedAt,
              endedAt: performance.now(),
              attributes: { texts: texts.length },
            });
            return response;
          },
          getModel: async () => {
            throw new Error('a defect');
          },
          encodeText: absent,
          encodeImage: absent,
          encode: async function* (requests) {
            for await (const { itemId } of requests)
              yield { itemId, embedding: undefined, modelFingerprint: '' };
          },
          loadModel: absent,
        }),
      ],
      start: async () => {
        logger.info('no call yet');
        health.setServing(true);
      },
      close: async () => next.close(),
    };
  },
});
