import type { RendezvousStore } from '../gloo/addon.ts';

/** A rendezvous store within one process. */
export function memoryStore(): RendezvousStore {
  const values = new Map<string, PromiseWithResolvers<Uint8Array>>();
  const at = (key: string) => {
    const value = values.get(key) ?? Promise.withResolvers<Uint8Array>();
    values.set(key, value);
    return value;
  };
  return {
    async set(key, value) {
      at(key).resolve(value);
    },
    get: (key) => at(key).promise,
  };
}
