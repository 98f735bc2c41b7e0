import { errorText, post } from './api.ts';

const form = document.querySelector('form');
const output = document.querySelector('output');
const input = document.querySelector('input');

form?.addEventListener('submit', (event) => {
  event.preventDefault();
  void logIn();
});

async function logIn(): Promise<void> {
  try {
    await post('/api/log-in', { token: input?.value.trim() ?? '' }, AbortSignal.timeout(30_000));
    location.assign('/');
  } catch (error) {
    if (output) output.value = errorText(error);
    input?.select();
  }
}
