import { loadTokenizer } from '@online-cnclip/tokenizer';
import { countOf, type ParitySuite, readLines } from '../case.ts';

interface TokenizerCase {
  readonly text: string;
  readonly context_length: number;
  readonly ids: readonly number[];
}

export const tokenizer: ParitySuite = async function* ({ folder }) {
  const tokens = loadTokenizer();
  const cases = readLines(folder, 'tokenizer', 'cases.jsonl').map(
    (line) => JSON.parse(line) as TokenizerCase,
  );
  const wrong = cases.filter(({ text, context_length, ids }) => {
    const encoded = tokens.encode([text], context_length);
    return encoded.data.length !== ids.length || ids.some((id, i) => encoded.data[i] !== id);
  });
  yield countOf(`tokenizer: ids of ${cases.length} texts`, wrong.length);
};
