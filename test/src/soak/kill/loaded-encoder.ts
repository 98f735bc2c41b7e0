import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createEncoderClient, type EncoderClient } from '@online-cnclip/client';
import { EncodeTextRequest, LoadModelRequest } from '@online-cnclip/contracts/encoder/v1';
import type { Bounds, SoakContext } from '../soak.ts';
import { TINY_TOWERS, writeTinyCheckpoint } from '../tiny-data.ts';
import type { Victim } from './soak.ts';

/** From asking for a model to the kill at most: loading the tiny one takes about as long. */
const MAX_LIFE_MS = 800;

const LOOK_MS = 50;

/** The encoder, killed while it loads another model. */
export class LoadedEncoder implements Victim {
  readonly name = 'load';
  readonly #context: SoakContext<Bounds>;
  readonly #folder: string;
  /** Of texts by the first model, before anything was killed. */
  #expected: string | undefined;
  #loaded = 0;

  private constructor(context: SoakContext<Bounds>, folder: string) {
    this.#context = context;
    this.#folder = folder;
  }

  static async prepare(context: SoakContext<Bounds>, folder: string): Promise<LoadedEncoder> {
    for (const seed of [1, 2]) await writeTinyCheckpoint(join(folder, `epoch${seed}.pt`), seed);
    return new LoadedEncoder(context, folder);
  }

  get acknowledged(): number {
    return this.#loaded;
  }

  async kill(random: () => number): Promise<string[]> {
    const logPath = join(this.#context.folder, 'encoder.log');
    const { visionModel, textModel } = TINY_TOWERS;
    const flags = {
      'data-folder': this.#folder,
      checkpoint: 'epoch1.pt',
      'vision-model': visionModel,
      'text-model': textModel,
      'context-length': '12',
      'compute-threads': '1',
    };
    const process = await this.#context.children.startService('encoder', {
      flags: Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]),
      logPath,
    });
    const client = createEncoderClient(process.address);
    try {
      const answer = await firstAnswer(client);
      this.#expected ??= answer;
      const dying = sleep(random() * MAX_LIFE_MS).then(() => process.kill());
      await this.#loadUntilDeath(client);
      await dying;
      return answer === this.#expected ? [] : ['the first model answers otherwise after a kill'];
    } catch (error) {
      return [String(error)];
    } finally {
      await process.kill();
      client.close();
    }
  }

  async #loadUntilDeath(client: EncoderClient): Promise<void> {
    for (let seed = 2; ; seed = 3 - seed) {
      try {
        await client.loadModel(LoadModelRequest.fromPartial({ checkpointPath: `epoch${seed}.pt` }));
      } catch {
        return;
      }
      this.#loaded += 1;
    }
  }
}

/** Once it serves: the model's fingerprint and what it makes of a text. */
async function firstAnswer(client: EncoderClient): Promise<string> {
  for (;;) {
    try {
      const request = EncodeTextRequest.fromPartial({ texts: ['红色连衣裙'] });
      const { embeddings, modelFingerprint } = await client.encodeText(request);
      return `${modelFingerprint} ${embeddings[0]?.vector?.values}`;
    } catch {
      await sleep(LOOK_MS);
    }
  }
}
