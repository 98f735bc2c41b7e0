import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CrawlOutcome, FailureReason, QueryState, SessionState } from '@online-cnclip/contracts/crawler/v1';
import type { Browser, ElementHandle, Page } from 'puppeteer-core';
import sharp from 'sharp';
import {
  findTestBrowser,
  launchTestBrowser,
  openPage,
  type PageOptions,
  type TestPage,
} from './testing/browser.ts';
import { checkAccessibility, imagesAreShown, shows, until, wait } from './testing/page-checks.ts';
import { startTestConsole, type TestConsole } from './testing/test-console.ts';

const found = await findTestBrowser();
const CI = process.env['CI'] === 'true';
const skip =
  found || CI
    ? false
    : 'there is no Chromium, Chrome or @sparticuz/chromium (CHROMIUM_PATH names one elsewhere)';

describe('the page in a real browser', { skip, concurrency: false }, () => {
  let browser: Browser;
  let console_: TestConsole;
  let pictures: string;
  let emoji: string[];

  before(async () => {
    assert.ok(found, 'CI needs a Chromium');
    pictures = mkdtempSync(join(tmpdir(), 'console-pictures-'));
    emoji = copyEmoji(join(pictures, 'emoji'));
    console_ = await startTestConsole(pictures);
    browser = await launchTestBrowser(found);
  });
  after(async () => {
    await browser?.close();
    await console_?.close();
    rmSync(pictures, { recursive: true, force: true });
  });

  const open = (path: string, options?: PageOptions): Promise<TestPage> =>
    openPage(browser, `${console_.origin}/${path}`, options);

  test('a search by text, by image and by a picture found returns pictures', async () => {
    const { fakes } = console_;
    fakes.addIndex('emoji', emoji.length);
    fakes.addIndex('other-model', 3, 'another');
    fakes.hits = emoji.map((_, i) => ({ id: BigInt(i), score: 0.6 - i * 0.007 }));
    const { page, complaints, capture } = await open('');
    await page.waitForSelector('option[value="emoji"]');
    // The field has the focus: nothing but keys is needed.
    await wait(page, `document.activeElement?.matches('.query')`);
    await page.keyboard.type('红色的心');
    await page.keyboard.press('Enter');
    await wait(page, `document.querySelectorAll('.tile img').length === 20`);
    await imagesAreShown(page, '.tile img', 20);
    assert.deepEqual(fakes.searches.at(-1)?.queries, [{ query: { $case: 'text', value: '红色的心' } }]);
    await shows(page, '.facts', /epoch_latest\.pt.*c0ffee000000/s);
    await shows(page, '[role=status]', /^20 results for 红色的心$/);
    await checkAccessibility(page);
    await capture('search');

    await page.click('.tile:nth-child(3) button');
    await page.waitForSelector('.preview:not([hidden]) img');
    await until(() => fakes.searches.length === 2);
    await wait(page, `document.querySelectorAll('.tile img').length === 20`);
    const [query] = fakes.searches.at(-1)?.queries ?? [];
    assert.equal(query?.query?.$case, 'image');
    assert.ok(Buffer.from(query.query.value).equals(readFileSync(join(pictures, 'emoji/2.png'))));

    const input = (await page.$('input[type=file]')) as ElementHandle<never> | null;
    await input?.uploadFile(join(pictures, 'emoji/0.png'));
    await until(() => fakes.searches.length === 3);
    await page.evaluate(giveImage('DragEvent', 'drop', 'dataTransfer'));
    await until(() => fakes.searches.length === 4);
    await page.evaluate(giveImage('ClipboardEvent', 'paste', 'clipboardData'));
    await until(() => fakes.searches.length === 5);
    const [pasted] = fakes.searches.at(-1)?.queries ?? [];
    assert.ok(pasted?.query?.$case === 'image' && pasted.query.value.length > 100);
    await page.select('select', 'other-model');
    await page.waitForSelector('.notice.warning');
    await wait(page, `document.querySelectorAll('.placeholder').length === 20`);
    assert.deepEqual(complaints, []);
    await page.browserContext().close();
  });

  test('the curves of a run grow while it trains, and the run is stopped', async () => {
    const { trainer } = console_.fakes;
    trainer.add('emoji-run', 500);
    await until(() => trainer.watchers('emoji-run') === 1);
    trainOn(trainer, 0, 120);
    const { page, complaints, capture } = await open('#/training/emoji-run');
    await pointsOf(page, 60);
    trainOn(trainer, 120, 320);
    trainer.save('emoji-run', 320);
    await pointsOf(page, 160);
    await page.waitForSelector('tbody th');
    await shows(page, '.run-head', /320 \/ 500/);
    await shows(page, '.charts', /R@1 21/);
    await page.waitForSelector('.run-detail [data-state=running]');
    await wait(page, INK);
    await checkAccessibility(page);
    await capture('training');

    await page.click('button.danger');
    await page.waitForSelector('.run-detail [data-state=stopped]');
    await wait(page, `document.querySelector('button.danger').hidden`);
    assert.deepEqual(complaints, []);
    await page.browserContext().close();
  });

  test('an online run shows its curve, its gate’s verdict, and the model is rolled back', async () => {
    const { trainer } = console_.fakes;
    trainer.add('online-run', 40);
    await until(() => trainer.watchers('online-run') === 1);
    for (let step = 1; step <= 40; step++)
      trainer.stepOnline('online-run', step, step === 7 ? undefined : 3 - step / 20);
    const { page, complaints, capture } = await open('#/training/online-run');
    await pointsOf(page, 39);
    trainer.judge('online-run', 54.89, 46.2, false);
    await page.waitForSelector('.gate [data-state=refused]');
    await shows(page, '.gate', /54\.89 %.*46\.20 %.*8\.69.*10%.*none/s);
    await checkAccessibility(page);
    await capture('online');

    trainer.served = ['experiments/a.pt', 'experiments/b.pt'];
    await page.goto(`${console_.origin}/#/overview`);
    await page.waitForSelector('.panel button');
    await page.click('.panel button');
    await page.click('dialog[open] .danger');
    await wait(
      page,
      `document.querySelector('.panel [role=status]').textContent.includes('experiments/a.pt')`,
    );
    assert.deepEqual(trainer.served, ['experiments/a.pt']);
    assert.deepEqual(complaints, []);
    await page.browserContext().close();
  });

  test('a run is started from the form, by keys alone; what the trainer refuses is said', async () => {
    const { trainer } = console_.fakes;
    const { page, complaints } = await open('#/training');
    await page.waitForSelector('.run-list a');
    await page.focus('.runs .primary');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open]');
    await page.keyboard.type('datasets/emoji/lmdb/train');
    for (const text of ['', 'emoji-run']) {
      await page.keyboard.press('Tab');
      await page.keyboard.type(text);
    }
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog .notice.error');
    await shows(page, 'dialog .notice', /emoji-run: is going on/);
    await page.type('dialog [name=name]', '-2');
    await page.type('dialog [name=learningRate]', '0.0003');
    await page.keyboard.press('Enter');
    await wait(page, `location.hash === '#/training/emoji-run-2'`);
    const [options] = trainer.started;
    assert.equal(options?.lr, 0.0003);
    assert.equal(options?.batchSize, undefined, 'what is left empty is the trainer’s to choose');
    await page.click('.runs > button');
    await page.type('dialog [name=model]', 'experiments/a.pt');
    await page.type('dialog [name=queries]', 'unseen_texts.jsonl');
    await page.type('dialog [name=maxEpochs]', '30');
    await page.type('dialog [name=replayRatio]', '0.5');
    await page.type('dialog [name=gateMaxDrop]', '10%');
    await page.type('dialog [name=name]', 'adapted');
    await page.select('dialog [name=onlineScope]', 'exclude-scored');
    await checkAccessibility(page);
    await page.click('dialog .primary');
    await wait(page, `location.hash === '#/training/adapted'`);
    const [adaptation] = trainer.adapted;
    assert.deepEqual(
      [adaptation?.maxEpochs, adaptation?.replayRatio, adaptation?.gateMaxDrop, adaptation?.onlineScope],
      [30, 0.5, '10%', 2],
    );
    assert.equal(adaptation?.lr, undefined);
    assert.deepEqual(
      complaints.filter((text) => !/409/.test(text)),
      [],
    );
    await page.browserContext().close();
  });

  test('a session is opened, its code scanned, its challenge dealt with, and retired', async () => {
    const { crawler } = console_.fakes;
    const { page, complaints, capture } = await open('#/sessions');
    await page.waitForSelector('.empty:not([hidden])');
    await page.type('.panel input', '一号');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.card [data-state=new]');
    const id = 1n;
    const expireTime = new Date(Date.now() + 170_000);
    crawler.change(id, {
      state: SessionState.SESSION_STATE_LOGIN_WAIT,
      qrCode: { png: await pattern(29), expireTime, attempt: 1 },
    });
    await page.waitForSelector('.qr');
    await shows(page, '.countdown', /Code 1 works for another 2:\d\d/);
    await imagesAreShown(page, '.qr');
    const other = crawler.open('二号');
    crawler.change(other, { state: SessionState.SESSION_STATE_READY, queriesToday: 37 });
    await wait(page, `document.querySelectorAll('.card').length === 2`);
    await checkAccessibility(page);
    await capture('sessions');
    for (const [state, name] of [
      [SessionState.SESSION_STATE_LOGIN_SCANNED, 'login-scanned'],
      [SessionState.SESSION_STATE_PROBING, 'probing'],
      [SessionState.SESSION_STATE_READY, 'ready'],
    ] as const) {
      crawler.change(id, { state });
      await page.waitForSelector(`.card:first-child [data-state=${name}]`);
    }
    assert.equal(await page.$('.qr'), null, 'a code that was used is gone');

    crawler.change(id, {
      state: SessionState.SESSION_STATE_PARKED,
      reason: 'the site asks to slide a bar',
      challengePng: await pattern(160),
    });
    await page.waitForSelector('.challenge');
    await imagesAreShown(page, '.challenge');
    await capture('challenge');
    await page.click('.card:first-child .primary');
    await page.waitForSelector('.card:first-child [data-state=ready]');

    await page.click('.card:first-child .danger');
    await page.waitForSelector('dialog[open]');
    await page.keyboard.press('Escape');
    assert.equal(crawler.state(id), SessionState.SESSION_STATE_READY, 'asked first');
    await page.click('.card:first-child .danger');
    await page.click('dialog[open] .danger');
    await wait(page, `document.querySelectorAll('.card').length === 1`);
    assert.equal(crawler.state(id), undefined);
    assert.deepEqual(complaints, []);
    await page.browserContext().close();
  });

  test('a crawl shows its progress, its failures by reason, and what was fetched', async () => {
    const { crawler } = console_.fakes;
    const jpeg = await sharp(join(pictures, 'emoji/0.png'))
      .resize(224)
      .flatten({ background: '#fff' })
      .jpeg()
      .toBuffer();
    const image = { jpeg, sourceUrl: 'http://127.0.0.1/1.jpg', pageUrl: '', rank: 1, fetchTime: new Date() };
    const images = [1n, 2n, 3n].map((imageId) => ({
      ...image,
      imageId,
      sourceSha256: Buffer.alloc(32),
      sessionId: 1n,
    }));
    crawler.outcomes.set('红色连衣裙', { state: QueryState.QUERY_STATE_OK, images });
    const limited = {
      state: QueryState.QUERY_STATE_DEFERRED,
      failure: FailureReason.FAILURE_REASON_RATE_LIMITED,
    };
    crawler.outcomes.set('牛仔外套', limited);
    crawler.outcomes.set('长靴', limited);
    crawler.outcomes.set('雨伞', {
      state: QueryState.QUERY_STATE_FAILED,
      failure: FailureReason.FAILURE_REASON_CHALLENGE,
      status: { code: 9, message: 'the site shows a challenge' },
    });
    const outcome = CrawlOutcome.fromPartial(crawler.outcomes.get('雨伞') ?? {});
    crawler.failures = [{ query: '雨伞', outcome, attempts: 2, attemptTime: new Date() }];
    const gate = Promise.withResolvers<void>();
    crawler.gate = gate.promise;
    const { page, complaints, capture } = await open('#/crawl');
    await page.type('textarea', '红色连衣裙\n牛仔外套\n长靴\n雨伞\n\n  没有的东西 ');
    await page.click('.panel .primary');
    await page.waitForSelector('.jobs [data-state=running]');
    await shows(page, '.jobs', /0 \/ 5/);
    gate.resolve();
    await page.waitForSelector('.jobs [data-state=done]');
    await shows(page, '.jobs', /5 \/ 5/);
    await shows(page, '.reasons', /asked to slow down\s*2\s*challenge shown\s*1/);
    await page.type('input[type=search]', '红色连衣裙');
    await page.keyboard.press('Enter');
    await wait(page, `document.querySelectorAll('.tile img').length === 3`);
    await imagesAreShown(page, '.tile img', 3);
    await wait(page, `/雨伞/.test(document.querySelector('main').lastElementChild.textContent)`);
    await checkAccessibility(page);
    await capture('crawl');
    assert.deepEqual(complaints, []);
    await page.browserContext().close();
  });

  test('it speaks the reader’s language, fits 360 px in light and dark, and keys go everywhere', async () => {
    const { page, complaints, capture } = await open('', {
      width: 360,
      height: 740,
      dark: true,
      language: 'zh-CN,zh;q=0.9',
    });
    await page.waitForSelector('option[value="emoji"]');
    await wait(page, `document.documentElement.lang === 'zh-CN'`);
    await shows(page, 'h1', /^检索$/);
    await page.type('.query', '笑脸');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.tile img');
    await imagesAreShown(page, '.tile img', 20);
    await capture('search-narrow-dark');
    for (const name of ['search', 'training', 'sessions', 'crawl', 'overview']) {
      await page.focus(`nav a[href="#/${name}"]`);
      await page.keyboard.press('Enter');
      await wait(page, `location.hash === '#/${name}'`);
      await wait(page, `document.querySelector('main')?.children.length`);
      await wait(page, `document.documentElement.scrollWidth <= 360`);
      await checkAccessibility(page);
    }
    await wait(page, `document.querySelectorAll('[data-state=serving]').length === 4`);
    await capture('services-narrow-dark');
    await page.focus('.language');
    await page.keyboard.press('Enter');
    await wait(page, `document.documentElement.lang === 'en'`);
    await page.reload();
    await wait(page, `document.documentElement.lang === 'en' && document.querySelector('h1')`);
    assert.deepEqual(complaints, []);
    await page.browserContext().close();
  });
});

/** The first emoji pictures as `0.png`, `1.png` and so on. */
function copyEmoji(folder: string): string[] {
  const manifest = fileURLToPath(import.meta.resolve('emoji-datasource-twitter/package.json'));
  const source = join(dirname(manifest), 'img/twitter/64');
  const names = readdirSync(source)
    .filter((name) => /^1f6\w\w\.png$/.test(name))
    .slice(0, 40);
  mkdirSync(folder, { recursive: true });
  for (const [i, name] of names.entries()) copyFileSync(join(source, name), join(folder, `${i}.png`));
  return names;
}

/** Drops or pastes the picture of item 1, as far as a page may pretend to. */
const giveImage = (kind: string, name: string, data: string) => `(async () => {
  const blob = await (await fetch('/pictures/emoji/1')).blob();
  const transfer = new DataTransfer();
  transfer.items.add(new File([blob], 'one.png', { type: blob.type }));
  const init = { bubbles: true, cancelable: true, ${data}: transfer };
  document.body.dispatchEvent(new ${kind}('${name}', init));
})()`;

/** Whether the first chart's canvas has a pixel that is neither empty nor grey. */
const INK = `(canvas => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 0 && Math.abs(data[i] - data[i + 1]) > 60) return true;
  return false;
})(document.querySelector('.chart canvas'))`;

/** Steps after `from` up to `to`, two at a time, with a validation every 80: a loss that falls as such losses do. */
function trainOn(trainer: TestConsole['fakes']['trainer'], from: number, to: number): void {
  for (let step = from + 2; step <= to; step += 2) {
    const noise = Math.sin(step * 12.9898) * 0.12;
    const loss = 1.1 + 3.7 * Math.exp(-step / 130) + noise;
    trainer.step('emoji-run', step, loss, 1e-3 * Math.min(1, step / 50) * Math.cos((step / 500) * 1.5));
    if (step % 80 === 0) {
      const share = 1 - Math.exp(-step / 160);
      trainer.validate('emoji-run', step, loss + 0.3, [24.5 * share, 62 * share, 80 * share]);
    }
  }
}

/** Until the loss curve has so many points. */
const pointsOf = (page: Page, count: number): Promise<void> =>
  wait(page, `Number(document.querySelector('.plot')?.dataset.points) >= ${count}`);

/** Black and white squares, as a PNG: what a code or a screenshot may look like. */
async function pattern(side: number): Promise<Buffer> {
  const data = Buffer.from(Array.from({ length: side * side }, (_, i) => ((i * i * 7) % 13 < 6 ? 0 : 255)));
  return sharp(data, { raw: { width: side, height: side, channels: 1 } })
    .png()
    .toBuffer();
}
