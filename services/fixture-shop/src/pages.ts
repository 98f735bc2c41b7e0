import type { ImageFault, PageFault } from './faults.ts';
import type { Offer } from './search.ts';

/** The page of a shop, made like the site of 2022: the same ids and classes, nothing of its text or style. */
interface PageOptions {
  readonly title: string;
  readonly loggedIn: boolean;
  readonly query?: string;
}

const page = ({ title, loggedIn, query = '' }: PageOptions, body: string): string => `<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title><style>
body{font:14px sans-serif;margin:0 16px}.items{display:flex;flex-wrap:wrap;gap:8px}.items>div{width:200px;min-height:320px;border:1px solid #ddd}
.pic img{width:180px;height:180px;background:#eee}[hidden]{display:none!important}.site-nav{padding:6px 0}
</style></head><body>
<div class="site-nav">${loggedIn ? '<a class="site-nav-user">会员</a>' : '<a class="site-nav-login" href="/member/login">请登录</a>'}</div>
<form action="/search"><input id="q" name="q" autocomplete="off" value="${escapeHtml(query)}"><button>搜索</button></form>
${body}</body></html>`;

export const homePage = (loggedIn: boolean): string =>
  page({ title: '样品商店', loggedIn }, '<p>欢迎光临</p>');

export interface ResultsOptions {
  readonly query: string;
  readonly offers: readonly Offer[];
  /** `127.0.0.1:8070`. */
  readonly host: string;
  readonly fault?: PageFault | ImageFault | undefined;
  /** Images that an image fault hits, from the first. */
  readonly faultyImages: number;
}

/** A host that no resolver knows (RFC 6761). */
const NO_HOST = 'img.fixture-shop.invalid';
/** Offers that an endless page adds at each scroll: a row at least, or there would be nothing further to scroll to. */
const ENDLESS_STEP = 8;
/** Copies of each picture where a page repeats itself. */
const COPIES = 3;

export function resultsPage({ query, offers, host, fault, faultyImages }: ResultsOptions): string {
  const options = { title: `${query} 的搜索结果`, loggedIn: true, query };
  if (fault === 'no-results' || offers.length === 0)
    return page(options, '<div class="item-not-found">没有找到相关的宝贝</div>');
  const imageHost = fault === 'unresolvable-images' ? NO_HOST : host;
  const addresses = offers.flatMap((offer, position) => {
    const path = `//${imageHost}/img/${offer.product.id}/${offer.variation}`;
    if (fault === 'duplicate-images')
      return Array.from({ length: COPIES }, (_, copy) => `${path}?copy=${copy}`);
    return [isImageFault(fault) && position < faultyImages ? `${path}?fault=${fault}` : path];
  });
  const own = fault === 'only-promoted' ? [] : addresses.map((address) => item(address, fault));
  // Advertisements stand among the rest: one at first, one later.
  const advert = item(`//${host}/img/advert/0`, fault, 'item-ad');
  const items = [advert, ...own.slice(0, 2), advert, ...own.slice(2)];
  const list = `<div class="m-itemlist"><div class="items">\n${items.join('\n')}\n</div></div>`;
  return page(options, list + scriptFor(fault, host));
}

const item = (address: string, fault: ResultsOptions['fault'], kind = 'item'): string =>
  `<div class="${kind}"><div class="pic-box"><div class="pic"><img ${
    fault === 'changed-markup' ? 'data-original' : 'data-src'
  }="${escapeHtml(address)}" alt=""></div></div></div>`;

const isImageFault = (fault: ResultsOptions['fault']): fault is ImageFault =>
  fault?.endsWith('-image') ?? false;

function scriptFor(fault: ResultsOptions['fault'], host: string): string {
  if (fault === 'endless-scroll')
    return `<script>
let shown = 0;
addEventListener('scroll', () => {
  for (let i = 0; i < ${ENDLESS_STEP}; i++) {
    const box = document.querySelector('.items > .item').cloneNode(true);
    box.querySelector('img').dataset.src = '//${host}/img/endless/' + shown++;
    document.querySelector('.items').append(box);
  }
});</script>`;
  if (fault === 'challenge-overlay')
    return `<div id="nocaptcha">请按住滑块</div>${inputReporter('/challenge/input')}`;
  return '';
}

/** Reports whatever a hand (or a program that plays one) does on the page. */
const inputReporter = (path: string): string => `<script>
for (const kind of ['mousedown', 'click', 'dblclick', 'pointerdown', 'touchstart', 'wheel', 'keydown', 'input', 'paste'])
  addEventListener(kind, (event) => navigator.sendBeacon('${path}', event.type), true);
</script>`;

export const challengePage = (): string => `<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>安全验证</title></head><body>
<input id="q" name="q"><div id="nocaptcha" style="width:300px;height:40px;background:#ddd">请按住滑块，拖动到最右边</div>
${inputReporter('/challenge/input')}</body></html>`;

/** Shows the password form first, as the site does; the code is behind a switch. */
export const logInPage = (token: string, pollMs: number): string => `<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>登录</title><style>[hidden]{display:none!important}</style></head><body>
<div id="password"><input name="user" placeholder="会员名"><a class="icon-qrcode" href="#">扫码登录</a></div>
<div id="code" hidden>
<img class="qrcode-img" width="220" height="220" alt="二维码" src="/member/code.png?token=${token}">
<div class="qrcode-success" hidden>扫描成功，请在手机上确认</div>
<div class="qrcode-error" hidden>二维码已失效</div></div>
<script>
const one = (selector) => document.querySelector(selector);
one('.icon-qrcode').onclick = () => { one('#password').hidden = true; one('#code').hidden = false; return false; };
const look = async () => {
  const answer = await fetch('/member/code-state?token=${token}').catch(() => undefined);
  const state = answer && (await answer.json()).state;
  if (state === 'confirmed') location.href = '/';
  one('.qrcode-success').hidden = state !== 'scanned';
  one('.qrcode-error').hidden = state !== 'expired';
  if (state !== 'expired') setTimeout(look, ${pollMs});
};
look();
</script></body></html>`;

/** Sends home what a site can find out about the browser that shows it. */
export const mirrorPage = (): string => `<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>镜子</title></head><body><script>
const seen = () => ({
  userAgent: navigator.userAgent, webdriver: navigator.webdriver, languages: navigator.languages,
  language: navigator.language, platform: navigator.platform, cores: navigator.hardwareConcurrency,
  brands: navigator.userAgentData && navigator.userAgentData.brands.map(({ brand }) => brand),
  hintPlatform: navigator.userAgentData && navigator.userAgentData.platform,
});
const inWorker = () => new Promise((resolve) => {
  const source = 'const seen = ' + seen + '; postMessage(seen())';
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  worker.onmessage = ({ data }) => resolve(data);
});
// Whoever asks the page from outside passes here, and its stack says who it is.
const asked = new Promise((resolve) => {
  setTimeout(resolve, 500, null);
  const real = document.querySelectorAll;
  document.querySelectorAll = function (...selectors) {
    resolve(new Error().stack);
    return real.apply(this, selectors);
  };
});
const graphics = () => {
  const gl = document.createElement('canvas').getContext('webgl');
  if (!gl) return null;
  const names = gl.getExtension('WEBGL_debug_renderer_info');
  return [gl.getParameter(names.UNMASKED_VENDOR_WEBGL), gl.getParameter(names.UNMASKED_RENDERER_WEBGL)];
};
(async () => {
  const permission = await navigator.permissions.query({ name: 'notifications' });
  await fetch('/mirror/report', { method: 'POST', body: JSON.stringify({
    page: seen(), worker: await inWorker(), vendor: navigator.vendor,
    plugins: [...navigator.plugins].map(({ name }) => name), mimeTypes: navigator.mimeTypes.length,
    csi: typeof globalThis.chrome?.csi, app: globalThis.chrome?.app?.isInstalled,
    loadTimes: typeof globalThis.chrome?.loadTimes?.().startLoadTime,
    mp4: document.createElement('video').canPlayType('video/mp4; codecs="avc1.42E01E"'),
    notification: [Notification.permission, permission.state],
    outer: [outerWidth, outerHeight], inner: [innerWidth, innerHeight], graphics: graphics(), asked: await asked,
  }) });
})();
</script></body></html>`;

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
