/** Exit statuses. `interrupted` is what shells give for SIGINT. */
export const EXIT = { ok: 0, failed: 1, badInput: 2, interrupted: 130 } as const;
