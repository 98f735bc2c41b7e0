import type { MethodShape, RequestOf, ResponseOf, ServiceShape } from '@online-cnclip/contracts';
import type { CostRule, Costs } from './admission.ts';
import type { CallContext } from './call-context.ts';

/**
 * A method as a plain function: a promise for one response, an async generator for many; one request as it is,
 * many as an async iterable that is read on demand (back-pressure reaches the client).
 */
export type Handler<M extends MethodShape> = M['requestStream'] extends true
  ? M['responseStream'] extends true
    ? (requests: AsyncIterable<RequestOf<M>>, context: CallContext) => AsyncIterable<ResponseOf<M>>
    : (requests: AsyncIterable<RequestOf<M>>, context: CallContext) => Promise<ResponseOf<M>>
  : M['responseStream'] extends true
    ? (request: RequestOf<M>, context: CallContext) => AsyncIterable<ResponseOf<M>>
    : (request: RequestOf<M>, context: CallContext) => Promise<ResponseOf<M>>;

/** One handler per method of a generated service definition. */
export type Handlers<D extends ServiceShape> = { readonly [Name in keyof D]: Handler<D[Name]> };

/** A service definition with its handlers, ready for {@link createService}. */
export interface Implementation {
  readonly definition: ServiceShape;
  readonly handlers: Readonly<Record<string, UntypedHandler>>;
  /** By the names of the methods. */
  readonly costs?: Readonly<Record<string, CostRule<unknown>>>;
}

/** Any of the four forms of {@link Handler}; the definition's two stream flags say which. */
export type UntypedHandler = (
  request: never,
  context: CallContext,
) => Promise<unknown> | AsyncIterable<unknown>;

/** Ties handlers, and what their calls cost, to the generated definition that gives them their types. */
export function implement<D extends ServiceShape>(
  definition: D,
  handlers: Handlers<D>,
  costs: Costs<D> = {},
): Implementation {
  return {
    definition,
    handlers: handlers as Readonly<Record<string, UntypedHandler>>,
    costs: costs as Readonly<Record<string, CostRule<unknown>>>,
  };
}
