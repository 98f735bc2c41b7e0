import type { TlsFiles } from '@online-cnclip/client';
import type { ErrorKind } from '@online-cnclip/foundation';
import type { RuntimeChoice } from '@online-cnclip/runtime';
import type {
  AdaptEvent,
  AdaptOptions,
  AdaptResult,
  TrainingEvent,
  TrainingOptions,
  TrainingResult,
} from '@online-cnclip/training';
import type { ReplicaPlace } from '../replicas/place.ts';

/** Which replica the process is, and of which run. */
export interface ReplicaOrder extends ReplicaPlace {
  readonly run: string;
}

/** Where the training process sends its part of the trace, and the span of the service that it belongs to. */
export interface TraceOrder {
  readonly endpoint: string;
  readonly ratio: number;
  readonly traceparent?: string | undefined;
}

/** From the service to the training process. */
export type Order =
  | {
      readonly kind: 'train';
      readonly options: TrainingOptions;
      readonly runtime: RuntimeChoice;
      /** Of the service, for calls to the crawler and to replica 0; absent for plain text. */
      readonly tls: TlsFiles | undefined;
      /** Absent: there is one replica. */
      readonly replica?: ReplicaOrder;
      readonly trace?: TraceOrder | undefined;
    }
  | {
      readonly kind: 'adapt';
      readonly options: AdaptOptions;
      readonly runtime: RuntimeChoice;
      readonly tls: TlsFiles | undefined;
      readonly trace?: TraceOrder | undefined;
    }
  /** One step of a tiny model, to see that this machine can. */
  | { readonly kind: 'check'; readonly runtime: RuntimeChoice }
  /** Finish the step in hand, save, end. */
  | { readonly kind: 'stop' };

/** From the training process to the service. */
export type Report =
  | { readonly kind: 'event'; readonly event: TrainingEvent | AdaptEvent }
  | { readonly kind: 'finished'; readonly result: TrainingResult | AdaptResult }
  | { readonly kind: 'failed'; readonly error: FailureReport };

export interface FailureReport {
  /** Absent for a defect. */
  readonly errorKind: ErrorKind | undefined;
  readonly message: string;
  readonly stack: string | undefined;
}
