import { connect, type Socket } from 'node:net';
import type { Chance } from '../chance.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const EMPTY_SETTINGS = frame(4, 0, 0, Buffer.alloc(0));

/** Kinds of what arrives at a port that is not meant for it. */
const NOISES: readonly ((chance: Chance) => Buffer)[] = [
  (chance) => chance.bytes(1 + chance.below(400)),
  () => Buffer.from('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'),
  (chance) => Buffer.concat([tlsHello(), chance.bytes(chance.below(200))]),
  // Half open: nothing, or half a preface.
  () => Buffer.alloc(0),
  (chance) => PREFACE.subarray(0, chance.below(PREFACE.length)),
  // HTTP/2, and then none.
  (chance) => Buffer.concat([PREFACE, chance.bytes(chance.below(300))]),
  (chance) => Buffer.concat([PREFACE, EMPTY_SETTINGS, randomFrame(chance), randomFrame(chance)]),
  // A frame of 16 MB that never comes.
  () => Buffer.concat([PREFACE, EMPTY_SETTINGS, Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])]),
  // Header blocks without an end, and a storm of pings and resets.
  (chance) =>
    Buffer.concat([
      PREFACE,
      EMPTY_SETTINGS,
      frame(1, 0, 1, chance.bytes(100)),
      frame(9, 0, 1, chance.bytes(100)),
    ]),
  () =>
    Buffer.concat([
      PREFACE,
      EMPTY_SETTINGS,
      ...Array.from({ length: 200 }, () => frame(6, 0, 0, Buffer.alloc(8))),
    ]),
  () =>
    Buffer.concat([
      PREFACE,
      EMPTY_SETTINGS,
      ...Array.from({ length: 200 }, (_, i) => frame(3, 0, 2 * i + 1, Buffer.alloc(4))),
    ]),
];

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream >>> 0, 5);
  return Buffer.concat([header, payload]);
}

const randomFrame = (chance: Chance): Buffer =>
  frame(chance.below(12), chance.below(256), chance.below(8), chance.bytes(chance.below(64)));

/** The start of a ClientHello, TLS 1.2 record. */
const tlsHello = (): Buffer =>
  Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]);

/** Noise on a port. Resolves when the other side closes, or the time to listen is over; half of the sockets are left open. */
export async function makeNoise(address: string, chance: Chance, listenMs: number): Promise<Socket> {
  const at = address.lastIndexOf(':');
  const socket = connect(Number(address.slice(at + 1)), address.slice(0, at));
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on('error', () => resolve());
  socket.on('close', () => resolve());
  socket.on('connect', () => {
    socket.write(chance.one(NOISES)(chance));
    setTimeout(resolve, listenMs);
  });
  socket.resume();
  await promise;
  if (chance.happens(0.5)) socket.destroy();
  return socket;
}
