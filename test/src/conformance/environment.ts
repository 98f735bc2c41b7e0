// What TFJS's suite expects to find, in the order in which it expects it: jasmine's globals, then the list of
// backends to test. Imported by suite.ts before any test file.
import { registerTracer, TRACER_BACKEND } from '@online-cnclip/tracer';
import { env } from '@tensorflow/tfjs-core';
import { setTestEnvs } from '@tensorflow/tfjs-core/dist/jasmine_util.js';
import jasmineCore from 'jasmine-core';
import { EvaluatingBackend } from './evaluating-backend.ts';

jasmineCore.installGlobals();
// TFJS has specs of equal names.
jasmineCore.jasmine.getEnv().configure({ random: false, forbidDuplicateNames: false });
jasmineCore.jasmine.getEnv().clearReporters();
env().set('IS_TEST', true);
registerTracer(() => new EvaluatingBackend());
setTestEnvs([{ name: TRACER_BACKEND, backendName: TRACER_BACKEND, isDataSync: true }]);
