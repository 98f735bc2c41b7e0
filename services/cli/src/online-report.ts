import {
  type GateReport,
  type OnlineReport,
  OnlineScope,
  type OnlineStepReport,
  type Run,
} from '@online-cnclip/contracts/trainer/v1';

// What a trainer tells of online learning, for a person.

export function onlineStepText({ loss, pairs, queries, replayed }: OnlineStepReport): string {
  const beside = replayed > 0 ? ` and ${replayed} old pairs` : '';
  const found = `${pairs} of ${queries} queries with an image${beside}`;
  return loss === undefined ? found : `loss ${loss.toFixed(4)}, ${found}`;
}

export function gateText({ before, after, maxDrop, passed }: GateReport): string {
  const [from, to] = [before?.meanRecall ?? 0, after?.meanRecall ?? 0].map((recall) => recall.toFixed(2));
  const limit = maxDrop === '' ? '' : `, a fall of ${maxDrop} allowed`;
  return `gate ${passed ? 'passed' : 'not passed'}: mean recall ${from} before, ${to} after${limit}`;
}

/** Of a run that has ended; nothing of one that learnt offline. */
export function onlineLines({ online, gate, servedCheckpoint, endTime }: Run): string[] {
  if (!online || !endTime) return [];
  return [
    `  ${countsText(online)}`,
    `  ${gate ? gateText(gate) : 'gate: not measured'}`,
    ...(servedCheckpoint === '' ? [] : [`  the encoder serves ${servedCheckpoint}`]),
  ];
}

function countsText({ scope, transductive, steps, pairs, queries, cached, leftOut }: OnlineReport): string {
  const name = scope === OnlineScope.ONLINE_SCOPE_EXCLUDE_SCORED ? 'exclude-scored' : 'all';
  const kind = transductive ? 'transductive' : 'other queries only';
  const missing = Object.entries(leftOut).map(([reason, count]) => `${count} ${reason}`);
  const without = missing.length === 0 ? '' : `; left out: ${missing.join(', ')}`;
  return `${steps} online steps, scope ${name} (${kind}); images: ${pairs} for ${queries} queries, ${cached} cached${without}`;
}
