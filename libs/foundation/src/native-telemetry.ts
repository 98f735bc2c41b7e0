import { env } from 'node:process';

/**
 * onnxruntime's binaries report their use to their maker, and leave files for it in the temporary folder, unless this
 * variable says otherwise when they are loaded. To be called on the main thread before that: only there does the native code
 * see what is set. Nothing of ours contacts anybody that it was not told to.
 */
export function disableNativeTelemetry(): void {
  env['ORT_DISABLE_TELEMETRY'] = '1';
}
