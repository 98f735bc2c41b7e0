import type {
  Server,
  ServiceDefinition,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { STATUS_OF_KIND } from '@online-cnclip/contracts';
import { ApplicationError } from '@online-cnclip/foundation';
import type { Access, AuthenticatedCall } from './access.ts';

type Answer = (error: unknown) => void;
type RawCall = AuthenticatedCall & { emit(event: 'error', error: unknown): boolean };
type RawHandler = (call: RawCall, answer?: Answer) => void;

/**
 * The server as those see it who bring handlers of their own, health checking and reflection: each of their calls is authorized
 * before it.
 */
export function guardServices(server: Server, access: Access): Server {
  const addService = (definition: ServiceDefinition, handlers: UntypedServiceImplementation): void => {
    const guarded = Object.entries(handlers).map(([name, handler]) => {
      const method = methodOf(definition, name);
      return [name, guardHandler(method, handler as RawHandler, access) as UntypedHandleCall];
    });
    server.addService(definition, Object.fromEntries(guarded));
  };
  return { addService } as unknown as Server;
}

function methodOf(definition: ServiceDefinition, name: string): string {
  const method =
    definition[name] ?? Object.values(definition).find(({ originalName }) => originalName === name);
  if (!method) throw new TypeError(`no method ${name} in the service`);
  return method.path.slice(1);
}

const guardHandler =
  (method: string, handler: RawHandler, access: Access): RawHandler =>
  (call, answer) => {
    try {
      access.authorize(call, method);
    } catch (error) {
      const status = statusOf(error);
      if (answer) answer(status);
      else call.emit('error', status);
      return;
    }
    handler(call, answer);
  };

function statusOf(error: unknown): unknown {
  if (!(error instanceof ApplicationError)) return error;
  return {
    name: error.name,
    message: error.message,
    code: STATUS_OF_KIND[error.kind],
    details: error.message,
  };
}
