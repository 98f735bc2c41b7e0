import { Worker } from 'node:worker_threads';
import { disableNativeTelemetry, UnavailableError } from '@online-cnclip/foundation';
import type { ArrayMessage, Request, Response, ThreadData } from './protocol.ts';

// A distributive Omit: the request without the number that the thread gives it.
type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

interface Pending {
  resolve(outputs: readonly ArrayMessage[]): void;
  reject(error: Error): void;
}

/** The owner's end of one compute thread: numbered requests, each answered once. */
export class ComputeThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #next = 0;
  #closed = false;

  constructor(data: ThreadData) {
    this.#worker = startWorker(data);
    this.#worker.unref();
    this.#worker.on('message', ({ id, outputs, error }: Response) => {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#worker.unref();
      if (error === undefined) pending?.resolve(outputs ?? []);
      else pending?.reject(new Error(`onnxruntime: ${error}`));
    });
    this.#worker.on('error', (cause) => this.#fail('the compute thread failed', cause));
    this.#worker.on('exit', () => this.#fail('the compute thread has ended'));
  }

  #fail(message: string, cause?: unknown): void {
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(new UnavailableError(message, { cause }));
    this.#pending.clear();
  }

  ask(request: Unnumbered<Request>): Promise<readonly ArrayMessage[]> {
    if (this.#closed) return Promise.reject(new UnavailableError('the compute thread has ended'));
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#pending.set(id, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ ...request, id });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker.terminate();
  }
}

function startWorker(workerData: ThreadData): Worker {
  disableNativeTelemetry();
  return new Worker(new URL('./compute-thread.ts', import.meta.url), { workerData });
}
