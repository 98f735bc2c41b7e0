/** Longer than a day is no answer to wait for. */
const MAX_RETRY_AFTER_MS = 86_400_000;

/** The header's seconds or date (RFC 9110, 10.2.3) in milliseconds from now; undefined when it is neither. */
export function parseRetryAfter(header: string | undefined, now: number = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
