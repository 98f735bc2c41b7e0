import { type NamedArrays, replaceFileAtomically } from '@online-cnclip/foundation';
import type { Checkpoint, Precision } from '../checkpoint.ts';
import { MODULE_PREFIX } from '../naming/chinese-clip.ts';
import type { PickleDict } from '../pickle/values.ts';
import { writePickle } from '../pickle/writer.ts';
import { optimizerDict } from './optimizer-writer.ts';
import { fromPlain } from './plain-values.ts';
import { StorageList } from './storage-list.ts';
import { writeZip, type ZipEntry } from './zip-writer.ts';

export interface WriteOptions {
  /** Of the parameters in the file (default fp32). Moments of the optimizer always stay float32. */
  readonly precision?: Precision;
  /** Whether names carry `module.` as the research code's do (default true). */
  readonly modulePrefix?: boolean;
}

/**
 * Writes torch's zip format, readable by `torch.load(path, weights_only=True)`: {epoch, step, name, state_dict,
 * optimizer, extra} (absent fields are left out), the optimizer as torch's AdamW or apex's FusedLAMB lays it out.
 * The path holds the old content or the whole new one, whatever interrupts the writing.
 *
 * @throws InvalidInputError when a moment does not belong to a parameter, or `extra` is not plain data.
 */
export async function writeCheckpoint(
  path: string,
  checkpoint: Checkpoint,
  options: WriteOptions = {},
): Promise<void> {
  const storages = new StorageList();
  const root: PickleDict = new Map();
  for (const key of ['epoch', 'step', 'name'] as const)
    if (checkpoint[key] !== undefined) root.set(key, checkpoint[key]);
  root.set('state_dict', stateDict(checkpoint.parameters, storages, options));
  if (checkpoint.optimizer)
    root.set('optimizer', optimizerDict(checkpoint.optimizer, checkpoint.parameters, storages));
  if (checkpoint.extra) root.set('extra', fromPlain(checkpoint.extra, 'extra'));
  const entries: ZipEntry[] = [
    textEntry('data.pkl', writePickle(root)),
    textEntry('byteorder', 'little'),
    ...storages.entries.map(({ name, content }) => ({ name: `${ARCHIVE}/${name}`, content })),
    textEntry('version', '3\n'),
  ];
  await replaceFileAtomically(path, (temporaryPath) => writeZip(temporaryPath, entries));
}

// Any name will do: torch takes it from the first entry.
const ARCHIVE = 'archive';

const textEntry = (name: string, content: string | Buffer): ZipEntry => ({
  name: `${ARCHIVE}/${name}`,
  content: () => Buffer.from(content),
});

function stateDict(
  parameters: NamedArrays,
  storages: StorageList,
  { precision = 'fp32', modulePrefix = true }: WriteOptions,
): PickleDict {
  const prefix = modulePrefix ? MODULE_PREFIX : '';
  return new Map([...parameters].map(([name, array]) => [prefix + name, storages.add(array, precision)]));
}
