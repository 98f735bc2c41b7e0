import { createRequire } from 'node:module';
import { FailedPreconditionError, messageOf } from '@online-cnclip/foundation';

/** What the addon's promises reject with. */
export interface AddonError extends Error {
  readonly code: 'lost' | 'timeout' | 'closed';
  /** Replicas to which the connection broke. */
  readonly ranks: readonly number[];
}

/** Where replicas leave their addresses for each other; keys are of Gloo's making. */
export interface RendezvousStore {
  set(key: string, value: Uint8Array): Promise<void>;
  /** Waits for the key. */
  get(key: string): Promise<Uint8Array>;
}

export interface AddonConnectOptions {
  readonly rank: number;
  readonly worldSize: number;
  /** An address of this machine that the others reach, never a name: Gloo crashes on one that does not resolve. */
  readonly host: string;
  readonly timeoutMs: number;
  readonly store: RendezvousStore;
}

/** native/gloo.cc's class. Arguments are not checked there. */
export interface AddonGroup {
  connect(options: AddonConnectOptions): Promise<void>;
  allReduceSum(buffer: Float32Array): Promise<void>;
  allGather(input: Float32Array, output: Float32Array): Promise<void>;
  broadcast(array: Float32Array | Uint8Array, root: number): Promise<void>;
  barrier(): Promise<void>;
  close(): Promise<void>;
}

interface Addon {
  readonly Group: new () => AddonGroup;
}

const BINARY = '../../build/Release/gloo.node';
const ADVICE =
  'several replicas need Gloo: install it (apt-get install libgloo-dev), then run: node scripts/setup.mjs';

let loaded: Addon | undefined;

/** @throws FailedPreconditionError saying which package to install. */
export function loadAddon(): Addon {
  try {
    loaded ??= createRequire(import.meta.url)(BINARY) as Addon;
    return loaded;
  } catch (cause) {
    throw new FailedPreconditionError(ADVICE, { cause });
  }
}

/** Why a group of several replicas cannot be had here; absent where it can. */
export function missingGloo(): string | undefined {
  try {
    loadAddon();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
