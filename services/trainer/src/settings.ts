import { availableParallelism } from 'node:os';
import { type ConfigOf, setting } from '@online-cnclip/foundation';
import { DEVICES, RUNTIME_NAMES, type RuntimeChoice } from '@online-cnclip/runtime';
import { environmentName, serviceSettings } from '@online-cnclip/service-kit';
import { z } from 'zod';

const NAME = 'trainer';

/** Settings of the trainer: flag, environment variable or configuration file. */
export const trainerSettings = {
  ...serviceSettings(NAME, { listen: 50_052, metrics: 9_465 }),
  dataFolder: setting(
    environmentName(NAME, 'DATA_FOLDER'),
    z.string().min(1).default('var/data').describe('folder that all paths of requests are relative to'),
  ),
  threads: setting(
    environmentName(NAME, 'THREADS'),
    z.coerce
      .number()
      .int()
      .min(0)
      .default(0)
      .describe('threads that a training step computes with; 0: as many as there are cores'),
  ),
  runtime: setting(
    environmentName(NAME, 'RUNTIME'),
    z
      .enum(RUNTIME_NAMES)
      .default('onnxruntime')
      .describe('what training computes with; tfjs-node-gpu is TensorFlow on a GPU'),
  ),
  device: setting(
    environmentName(NAME, 'DEVICE'),
    z.enum(DEVICES).default('cpu').describe('what onnxruntime computes on'),
  ),
  tfjsNodeFolder: setting(
    environmentName(NAME, 'TFJS_NODE_FOLDER'),
    z.string().min(1).optional().describe('what `node scripts/build-tfjs-node.mjs gpu` printed'),
  ),
  allowCpu: setting(
    environmentName(NAME, 'ALLOW_CPU'),
    z.stringbool().default(false).describe('let tfjs-node-gpu compute on the CPU where it sees no GPU'),
  ),
  crawlerAddress: setting(
    environmentName(NAME, 'CRAWLER_ADDRESS'),
    z
      .string()
      .min(1)
      .optional()
      .describe('host:port of the crawler that online learning fetches images with'),
  ),
  encoderAddress: setting(
    environmentName(NAME, 'ENCODER_ADDRESS'),
    z
      .string()
      .min(1)
      .optional()
      .describe(
        'host:port of the encoder that is told to load what an adaptation makes, once its gate has passed',
      ),
  ),
  rank: setting('RANK', z.coerce.number().int().min(0).default(0).describe('of this replica, from 0')),
  worldSize: setting(
    'WORLD_SIZE',
    z.coerce.number().int().min(1).max(4096).default(1).describe('replicas that train each run together'),
  ),
  masterAddress: setting(
    'MASTER_ADDR',
    z.string().min(1).default('127.0.0.1').describe("host of replica 0's trainer, for all replicas"),
  ),
  masterPort: setting(
    'MASTER_PORT',
    z.coerce.number().int().min(1).max(65_535).default(50_052).describe("port of replica 0's trainer"),
  ),
  gatherTimeout: setting(
    'CNCLIP_GATHER_TIMEOUT',
    z.coerce.number().positive().max(86_400).default(600).describe('seconds that replicas are waited for'),
  ),
  collectiveTimeout: setting(
    'CNCLIP_COLLECTIVE_TIMEOUT',
    z.coerce
      .number()
      .positive()
      .max(86_400)
      .default(600)
      .describe('seconds that a replica which does nothing is waited for'),
  ),
} as const;

export function runtimeChoice(config: ConfigOf<typeof trainerSettings>): RuntimeChoice {
  const { runtime, device, tfjsNodeFolder, allowCpu, threads } = config;
  return {
    runtime,
    device,
    allowCpu,
    threads: threads || availableParallelism(),
    ...(tfjsNodeFolder === undefined ? {} : { tfjsNodeFolder }),
  };
}
