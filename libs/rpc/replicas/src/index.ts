export { Coordinator } from './coordination/coordinator.ts';
export { type RunOrder, RunOrders } from './coordination/run-orders.ts';
export { type FollowOptions, followRuns } from './follow-runs.ts';
export { replicaService } from './handlers.ts';
export { type HostedRendezvous, hostRendezvous } from './host.ts';
export { type Gathering, Rendezvous, type RendezvousOptions, type ReplicaState } from './rendezvous.ts';
