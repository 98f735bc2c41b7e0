import { loadTokenizer, MAX_CONTEXT_LENGTH, MIN_CONTEXT_LENGTH } from '@online-cnclip/tokenizer';
import type { Command } from 'commander';
import { countOption } from '../arguments.ts';
import type { CliContext } from '../context.ts';

/** Chinese-CLIP's own default. */
const CONTEXT_LENGTH = 52;

export function configure(command: Command, context: CliContext): void {
  command
    .description(
      'Prints each text as a line of JSON: its tokens, and the ids that the model gets (without padding).',
    )
    .argument('<text...>', 'texts')
    .option('--vocabulary <path>', 'one token per line [that of BERT-base-Chinese]');
  countOption(command, '--context-length <n>', 'ids at most, [CLS] and [SEP] included', {
    least: MIN_CONTEXT_LENGTH,
    most: MAX_CONTEXT_LENGTH,
    initial: CONTEXT_LENGTH,
  });
  command.action(
    (texts: string[], options: { readonly vocabulary?: string; readonly contextLength: number }) => {
      const tokenizer = loadTokenizer(options.vocabulary);
      for (const text of texts) {
        const ids = [...tokenizer.encodeTrimmed([text], options.contextLength).data];
        context.print(JSON.stringify({ text, tokens: tokenizer.tokenize(text), ids }));
      }
    },
  );
}
