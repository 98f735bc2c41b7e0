import type { PeerCertificate } from 'node:tls';
import {
  type ApplicationError,
  type Logger,
  PermissionDeniedError,
  UnauthenticatedError,
} from '@online-cnclip/foundation';
import { describeIdentity, type Identity, identityOf, isAction, type Policy } from '@online-cnclip/security';
import type { Refusals } from './refusals.ts';

/** The part of a call that says who makes it. */
export interface AuthenticatedCall {
  getAuthContext(): { readonly sslPeerCertificate?: PeerCertificate };
  getPeer(): string;
}

/** Decides about a certificate that the handshake has verified. */
export interface Gate {
  readonly policy: { readonly current: Policy };
}

/**
 * Who may call what, and the audit log. With plain text nobody says who they are, and everybody who reaches the address may call
 * everything: it is loopback's, unless the operator wanted otherwise.
 */
export class Access {
  readonly #gate: Gate | undefined;
  readonly #refusals: Refusals;
  readonly #audit: Logger;

  /** @param gate undefined for plain text. */
  constructor(gate: Gate | undefined, refusals: Refusals, logger: Logger) {
    this.#gate = gate;
    this.#refusals = refusals;
    // Whatever else is logged: actions are.
    this.#audit = logger.child({ audit: true }, { level: logger.level === 'silent' ? 'silent' : 'info' });
  }

  /**
   * @param method `onlinecnclip.encoder.v1.EncoderService/LoadModel`.
   * @returns who calls; undefined with plain text.
   * @throws UnauthenticatedError without a certificate that names a role; PermissionDeniedError naming role and method.
   */
  authorize(call: AuthenticatedCall, method: string): Identity | undefined {
    if (!this.#gate) return undefined;
    const { sslPeerCertificate } = call.getAuthContext();
    const identity = sslPeerCertificate && identityOf(sslPeerCertificate);
    const error = problemOf(identity, method, this.#gate.policy.current);
    if (!error) return identity;
    const who = identity && { who: describeIdentity(identity) };
    this.#refusals.report({ what: 'call', reason: error.message, peer: call.getPeer(), method, ...who });
    throw error;
  }

  /** One line for every action, done or refused. */
  audit(
    call: AuthenticatedCall,
    method: string,
    ending: { readonly requestId: string; readonly outcome: string },
  ): void {
    if (!isAction(method)) return;
    const { sslPeerCertificate } = call.getAuthContext();
    const { name = null, role = null } = sslPeerCertificate ? identityOf(sslPeerCertificate) : {};
    this.#audit.info({ who: name, role, peer: call.getPeer(), method, ...ending }, 'audit');
  }
}

/** Why not; undefined when it may. */
export function problemOf(
  identity: Identity | undefined,
  method: string,
  policy: Policy,
): ApplicationError | undefined {
  if (!identity) return new UnauthenticatedError('a client certificate is needed');
  if (identity.role === undefined)
    return new UnauthenticatedError(`the certificate of "${identity.name}" names no role of online-cnclip`);
  if (!policy.permits(identity.role, method))
    return new PermissionDeniedError(`the role ${identity.role} may not call ${method}`);
  return undefined;
}
