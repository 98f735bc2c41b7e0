import { createRankerClient } from '@online-cnclip/client';
import type { Command } from 'commander';
import { countOption } from '../arguments.ts';
import type { CliContext } from '../context.ts';
import { addSplitOptions, requirePath, type SplitOptions } from '../data-path.ts';
import { imagesOfSplit } from '../encode-files.ts';
import { type ReembedOptions, reembed } from '../reembed.ts';
import { addressOption, withClient } from '../services.ts';

interface AddressOptions {
  readonly address: string;
}

/** Images per message to the ranker: some batches of the encoder. */
const DEFAULT_BATCH_ITEMS = 64;
const MAX_BATCH_ITEMS = 1_024;

/** Of a fingerprint in a table; the whole one is in `cnclip index list --full`. */
const SHORT_FINGERPRINT = 12;

export function configure(command: Command, context: CliContext): void {
  configureList(command, context);
  configureAlias(command, context);
  const drop = command
    .command('drop')
    .argument('<name>', 'an index, or with --alias an alias')
    .option('--alias', 'remove an alias; its index stays')
    .description('Removes an index and its items. One that an alias leads to is refused.');
  addressOption(drop, 'ranker');
  drop.action(async (name: string, { address, alias }: AddressOptions & { readonly alias?: boolean }) => {
    await withClient(context, createRankerClient, address, async (ranker) => {
      if (alias) {
        await ranker.dropAlias({ alias: name });
        context.print(`alias ${name} removed`);
        return;
      }
      const { items } = await ranker.dropIndex({ name });
      context.print(`index ${name} dropped with ${items} items`);
    });
  });
  configureReembed(command, context);
}

function configureList(command: Command, context: CliContext): void {
  const list = command
    .command('list')
    .description('Shows every index with its items, dimension, model and aliases.')
    .option('--full', 'whole fingerprints');
  addressOption(list, 'ranker');
  list.action(async ({ address, full }: AddressOptions & { readonly full?: boolean }) => {
    const { indexes } = await withClient(context, createRankerClient, address, (ranker) =>
      ranker.listIndexes({}),
    );
    const width = Math.max(4, ...indexes.map(({ name }) => name.length));
    for (const { name, items, dimension, modelFingerprint, aliases } of indexes) {
      const model = (full ? modelFingerprint : modelFingerprint.slice(0, SHORT_FINGERPRINT)) || '-';
      const called = aliases.length > 0 ? `  <- ${aliases.join(', ')}` : '';
      context.print(`${name.padEnd(width)}  ${String(items).padStart(9)} x ${dimension}  ${model}${called}`);
    }
  });
}

function configureAlias(command: Command, context: CliContext): void {
  const alias = command
    .command('alias')
    .argument('<alias>', 'for example live')
    .argument('<index>', 'the index that it is to lead to')
    .description('Lets an alias lead to an index, instead of to the one before, at one stroke.');
  addressOption(alias, 'ranker');
  alias.action(async (name: string, index: string, { address }: AddressOptions) => {
    const { previousIndex } = await withClient(context, createRankerClient, address, (ranker) =>
      ranker.setAlias({ alias: name, index }),
    );
    context.print(`${name} -> ${index}${previousIndex === '' ? '' : ` (before: ${previousIndex})`}`);
  });
}

function configureReembed(command: Command, context: CliContext): void {
  const reembedding = command
    .command('reembed')
    .description(
      "Embeds a gallery's images with the encoder's model into an index of its own, with the attributes that the items have in the index of now, " +
        'and then lets the alias lead to it. Searches go on in the old index meanwhile, which stays until it is dropped. Interrupted, ' +
        'the same command goes on where it was.',
    )
    .option('--images <path>', 'the images: {split}_imgs.tsv, or the LMDB folder of a split')
    .option('--alias <name>', 'the alias that searches use', 'live')
    .option('--next <name>', 'the alias of the new index until then', 'next')
    .option('--into <name>', "the new index [the alias and the model's fingerprint]")
    .option('--allow-missing', 'swap even when images were refused or the new index has fewer items');
  countOption(reembedding, '--batch-size <n>', 'images per message', {
    most: MAX_BATCH_ITEMS,
    initial: DEFAULT_BATCH_ITEMS,
  });
  addSplitOptions(reembedding, context);
  addressOption(reembedding, 'ranker');
  addressOption(reembedding, 'encoder', 'encoder');
  reembedding.action(
    async (given: Omit<ReembedOptions, 'images'> & SplitOptions & { readonly images?: string }) => {
      const images = requirePath(given.images, imagesOfSplit(given), '--images');
      await reembed({ ...given, images }, context);
    },
  );
}
