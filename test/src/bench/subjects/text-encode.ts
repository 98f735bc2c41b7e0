// Text features of RoBERTa-base: real queries from their text on, the same ids alone, or one query at a time.
import { initializeParameters, resolveModelConfig, textEncoderProgram } from '@online-cnclip/network';
import { createOnnxRuntime } from '@online-cnclip/runtime';
import { loadTokenizer } from '@online-cnclip/tokenizer';
import { QUERIES, rateOf, serve, TEXT_MODEL, threads, VISION_MODEL } from '../serve.ts';

const CONTEXT = 52;
const config = resolveModelConfig(VISION_MODEL, TEXT_MODEL);
const runtime = createOnnxRuntime({ threads });
const encoder = await runtime.prepare(textEncoderProgram(config, initializeParameters(config, 1)));
const tokenizer = loadTokenizer();

const ids = tokenizer.encodeTrimmed(QUERIES, CONTEXT);
const one = QUERIES.slice(0, 1);
const work = {
  real: () => encoder.run({ input_ids: tokenizer.encodeTrimmed(QUERIES, CONTEXT) }),
  trimmed: () => encoder.run({ input_ids: ids }),
  one: () => encoder.run({ input_ids: tokenizer.encodeTrimmed(one, CONTEXT) }),
};
const kind = process.argv[2] as keyof typeof work;
await serve(() => rateOf(kind === 'one' ? 1 : QUERIES.length, work[kind]));
