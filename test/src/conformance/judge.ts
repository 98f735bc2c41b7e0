/** What became of one of TFJS's specs. */
export interface Spec {
  readonly name: string;
  /** `pending`: TFJS itself leaves it out. */
  readonly status: 'passed' | 'failed' | 'pending';
  readonly messages: readonly string[];
}

/** Specs that may fail, and why. Exactly one of `kernels`, `messages` and `specs` is given. */
export interface Exclusion {
  readonly reason: string;
  /** Kernels that the tracer does not have: failures that name one of them. */
  readonly kernels?: readonly string[];
  /** Failures whose message contains one of these. */
  readonly messages?: readonly string[];
  /** Whole names of specs, less the backend's name. */
  readonly specs?: readonly string[];
}

export interface Verdict {
  readonly passed: number;
  readonly pending: number;
  /** Number of excluded specs by reason. */
  readonly excluded: ReadonlyMap<string, number>;
  readonly failures: readonly Spec[];
  /** Exclusions, or parts of them, that excuse nothing. */
  readonly stale: readonly string[];
}

interface Part {
  /** What was excluded, as the list has it. */
  readonly label: string;
  readonly reason: string;
  excuses(name: string, message: string): boolean;
}

/** Every message of a failed spec has to be excused by an exclusion, and each exclusion has to excuse one. */
export function judge(specs: readonly Spec[], exclusions: readonly Exclusion[], backend: string): Verdict {
  const parts = exclusions.flatMap(partsOf);
  const unused = new Set(parts.map(({ label }) => label));
  const excluded = new Map<string, number>();
  const failures: Spec[] = [];
  for (const spec of specs.filter(({ status }) => status === 'failed')) {
    const name = spec.name.replaceAll(` ${backend} {}`, '');
    const used = spec.messages.map((message) => parts.find((part) => part.excuses(name, message)));
    const reason = used[0]?.reason;
    if (reason === undefined || used.includes(undefined)) {
      failures.push(spec);
      continue;
    }
    for (const part of used) if (part) unused.delete(part.label);
    excluded.set(reason, (excluded.get(reason) ?? 0) + 1);
  }
  const count = (status: Spec['status']) => specs.filter((spec) => spec.status === status).length;
  return { passed: count('passed'), pending: count('pending'), excluded, failures, stale: [...unused] };
}

function partsOf({ reason, kernels = [], messages = [], specs = [] }: Exclusion): Part[] {
  return [
    ...kernels.map((kernel) => ({
      label: `kernel ${kernel}`,
      reason,
      excuses: (_: string, message: string) => message.includes(`Kernel '${kernel}' not registered`),
    })),
    ...messages.map((text) => ({
      label: `message "${text}"`,
      reason,
      excuses: (_: string, message: string) => message.includes(text),
    })),
    ...specs.map((spec) => ({ label: `spec "${spec}"`, reason, excuses: (name: string) => name === spec })),
  ];
}
