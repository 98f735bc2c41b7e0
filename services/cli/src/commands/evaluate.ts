import { evaluateFiles, recallScores } from '@online-cnclip/evaluation';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';

export function configure(command: Command, context: CliContext): void {
  command
    .description("Recall of predictions against a reference, as Chinese-CLIP's evaluation.py computes it.")
    .argument('<reference>', 'right items: {"query_id", "item_ids"} or {"text_id", "image_ids"} per line')
    .argument('<predictions>', 'the ten best items of each query, in either form')
    .argument('[out]', "where evaluation.py's JSON goes, scores or error")
    .action(async (reference: string, predictions: string, output: string | undefined) => {
      const recall = recallScores(await evaluateFiles({ reference, predictions, output }));
      for (const [name, value] of Object.entries(recall))
        context.print(`${name.padEnd(12)} ${rounded(value)}`);
    });
}

const rounded = (value: number): string => String(Math.round(value * 1e4) / 1e4);
