import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

export const HEALTH_SERVICE = 'grpc.health.v1.Health';

/** The name that stands for the whole server in grpc.health.v1. */
const WHOLE_SERVER = '';

/**
 * A name in grpc.health.v1 that is SERVING for as long as the process answers at all: for probes that restart it. A
 * service that waits for its model is not to be restarted for that.
 */
export const LIVENESS = 'liveness';

/**
 * grpc.health.v1 of a server and its services: NOT_SERVING until the service has shown that it works (a real
 * inference, not a loaded file), NOT_SERVING for good once it drains.
 */
export class Health {
  readonly #implementation = new HealthImplementation({
    [WHOLE_SERVER]: 'NOT_SERVING',
    [LIVENESS]: 'SERVING',
  });
  readonly #names = [WHOLE_SERVER];
  #serving = false;
  #closed = false;

  get serving(): boolean {
    return this.#serving;
  }

  setServing(serving: boolean): void {
    if (this.#closed) return;
    this.#serving = serving;
    for (const name of this.#names) this.#implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  /** NOT_SERVING from now on, whatever else is said. */
  close(): void {
    this.setServing(false);
    this.#closed = true;
  }

  addTo(server: Server, services: readonly string[]): void {
    this.#names.push(...services);
    this.#implementation.addToServer(server);
    this.setServing(this.#serving);
  }
}
