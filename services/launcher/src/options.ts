import { isAbsolute, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { InvalidInputError, messageOf } from '@online-cnclip/foundation';
import { z } from 'zod';

export interface LauncherOptions {
  /** End with status 0 after the report instead of staying up. */
  readonly once: boolean;
  /** Folder of pictures to rank instead of the held-out ones, absolute. */
  readonly gallery: string | undefined;
  /** Folder of `cnclip certs init`, absolute: the services ask one another for certificates. Undefined: plain text. */
  readonly certs: string | undefined;
  /** Folder of everything the demo writes, absolute. */
  readonly folder: string;
  /** First of the services' ports; 0 takes any that are free. */
  readonly portBase: number;
  readonly maxSteps: number;
  readonly batchSize: number;
  /** Number of emoji used; not set means all. */
  readonly emojiLimit: number | undefined;
}

/** Two and a half minutes on two cores. */
const DEFAULT_MAX_STEPS = 500;
const DEFAULT_BATCH_SIZE = 128;
const DEFAULT_PORT_BASE = 50_051;
/** Fewer would leave one of the tests without a query. */
const MIN_EMOJI = 50;
const HIGHEST_PORT_BASE = 65_000;

const count = (least: number) => z.coerce.number().int().min(least);

const schema = z.object({
  once: z.boolean().default(false),
  gallery: z.string().min(1).optional(),
  certs: z.string().min(1).optional(),
  folder: z.string().min(1).default('var/demo'),
  'port-base': count(0).max(HIGHEST_PORT_BASE).default(DEFAULT_PORT_BASE),
  'max-steps': count(1).default(DEFAULT_MAX_STEPS),
  'batch-size': count(2).default(DEFAULT_BATCH_SIZE),
  'emoji-limit': count(MIN_EMOJI).optional(),
});

export const USAGE = `npm start -- [options]

  --once               end after the report instead of staying up
  --gallery DIR        rank the pictures of DIR (PNG or SVG, named by their emoji's code points: 1f600.png) with the
                       model trained last; trains first when there is none
  --certs DIR          a folder of \`cnclip certs init\`: services, metrics and console speak TLS, as in production [plain text]
  --folder DIR         where everything is written [var/demo]
  --port-base PORT     first of the services' ports, 0 for any [${DEFAULT_PORT_BASE}]; a taken port is replaced by a free one
  --max-steps N        training steps [${DEFAULT_MAX_STEPS}]
  --batch-size N       pairs per step [${DEFAULT_BATCH_SIZE}]
  --emoji-limit N      use the first N emoji only, at least ${MIN_EMOJI} (for a quick try: the recall means nothing)
  --help               this text`;

/**
 * Reads the command line.
 *
 * @param root the project's folder, which `--folder` is relative to.
 * @param workingFolder where the user called npm from, which `--gallery` is relative to.
 * @returns undefined when the help text was asked for.
 * @throws InvalidInputError naming the option.
 */
export function parseLauncherOptions(
  flags: readonly string[],
  root: string,
  workingFolder: string,
): LauncherOptions | undefined {
  const values = readFlags(flags);
  if (values['help']) return undefined;
  const parsed = schema.safeParse(values);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new InvalidInputError(issue?.message ?? 'is not valid', { place: `--${issue?.path.join('.')}` });
  }
  const { once, gallery, certs, folder } = parsed.data;
  return {
    once,
    gallery: gallery === undefined ? undefined : resolve(workingFolder, gallery),
    certs: certs === undefined ? undefined : resolve(workingFolder, certs),
    folder: isAbsolute(folder) ? folder : join(root, folder),
    portBase: parsed.data['port-base'],
    maxSteps: parsed.data['max-steps'],
    batchSize: parsed.data['batch-size'],
    emojiLimit: parsed.data['emoji-limit'],
  };
}

function readFlags(flags: readonly string[]): Record<string, unknown> {
  const text = { type: 'string' } as const;
  const yes = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...flags],
      options: {
        once: yes,
        help: yes,
        gallery: text,
        certs: text,
        folder: text,
        'port-base': text,
        'max-steps': text,
        'batch-size': text,
        'emoji-limit': text,
      },
    }).values;
  } catch (cause) {
    throw new InvalidInputError(`${messageOf(cause)}; see npm start -- --help`, { cause });
  }
}
