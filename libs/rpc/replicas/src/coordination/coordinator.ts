import { AbortedError } from '@online-cnclip/foundation';
import { checkJoining } from './agreement.ts';
import type { GroupEvent, Joining } from './events.ts';
import { RunGroup } from './run-group.ts';

/** The groups of every run that replicas have asked for. */
export class Coordinator {
  readonly #groups = new Map<string, RunGroup>();

  join(joining: Joining, signal: AbortSignal): AsyncGenerator<GroupEvent, void, undefined> {
    checkJoining(joining);
    const group = this.#groups.get(joining.run) ?? new RunGroup();
    this.#groups.set(joining.run, group);
    return group.join(joining, signal);
  }

  /** @throws AbortedError for a run that has no group: this coordinator is younger than it. */
  groupOf(run: string): RunGroup {
    const group = this.#groups.get(run);
    if (!group) throw new AbortedError(`run ${JSON.stringify(run)} has no group here`);
    return group;
  }
}
