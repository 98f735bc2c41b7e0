import { fromBinary, type Message } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import type { Ending } from './call.ts';
import { fieldNames, type Method } from './methods.ts';

/** Why an ending is none that bad input may have; undefined when it is fine. */
export function faultOf(method: Method, { code, details, responses, left }: Ending): string | undefined {
  if (left) return itemFault(method, responses);
  switch (code) {
    case status.OK:
      return itemFault(method, responses);
    case status.INTERNAL:
    case status.UNKNOWN:
    case status.UNIMPLEMENTED:
    case status.UNAVAILABLE:
    case status.CANCELLED:
      return `${status[code]}: ${details}`;
    case status.DEADLINE_EXCEEDED:
      return `hangs: ${details}`;
    case status.INVALID_ARGUMENT:
      return namesField(method, details) ? undefined : `INVALID_ARGUMENT without a field's name: ${details}`;
    default:
      return details === '' ? `${status[code]} without a word` : undefined;
  }
}

/** `predictions.jsonl:1: is not JSON`: a line of a file that the request named. */
const NAMED_LINE = /^[^ :]+:\d+: /;

/** `checkpoint_path: "../x" leads out of the data folder`, `matrices[0].path: ...`, or the request itself. */
function namesField({ input }: Method, details: string): boolean {
  const place = details.split(':')[0] ?? '';
  if (place === 'request' || NAMED_LINE.test(details)) return true;
  const words = place
    .replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    .replaceAll('-', '_')
    .split(/[^a-z0-9_]+/);
  const names = fieldNames(input);
  return words.some((word) => names.has(word));
}

/** An item's own status: bad input may fail an item, but not by a defect. */
function itemFault({ output }: Method, responses: readonly Buffer[]): string | undefined {
  for (const response of responses) {
    const fault = defectIn(fromBinary(output, response));
    if (fault !== undefined) return `an item is INTERNAL: ${fault}`;
  }
  return undefined;
}

function defectIn(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return undefined;
  const { $typeName, code, message } = value as Message & { code?: number; message?: string };
  if ($typeName === 'onlinecnclip.common.v1.ItemStatus')
    return code === status.INTERNAL || code === status.UNKNOWN ? String(message) : undefined;
  // Numbers and ids by the thousand hold nothing.
  if (Array.isArray(value) && typeof value[0] !== 'object') return undefined;
  for (const inner of Object.values(value)) {
    const fault = defectIn(inner);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
