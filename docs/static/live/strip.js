// One digit on its way out of noise: x_t above, the x0 prediction below, at several steps side by side.
import {among, choice, draw, html, number, size, slider, starts} from './page.js';
import './sheet.js';

const COLUMNS = 6;
const root = document.querySelector('.live'), status = html('p', {className: 'status', role: 'status'});
const fail = text => { status.textContent = text; root.dataset.state = 'failed'; };
root.replaceChildren(status);
status.textContent = 'Loading the network and ONNX Runtime, about 16 MB, kept by the browser ...';
const about = await fetch(new URL('../networks/digits.json', import.meta.url)).then(answer => answer.json());

const used = {
  digit: choice('digit', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 8), seed: number('seed', 1), steps: among('steps', [5, 10, 20, 50, 100], 10),
  eta: slider('eta', 0, 1, .05, 0), w: slider('guidance w', 0, 4, .25, 1),
};
const picture = label => {
  const canvas = html('canvas');
  canvas.setAttribute('role', 'img'); canvas.setAttribute('aria-label', label);
  return canvas;
};
const above = picture('The noisy images of one sampling trajectory'), below = picture('The x0 predictions at the same steps');
const heads = html('div', {className: 'heads'});
const worker = new Worker(new URL('worker.js', import.meta.url), {type: 'module'});
let newest = 0, frames = [], current, began;

// The steps to show: equally far apart, the first and the last among them.
const columns = () => Array.from({length: COLUMNS}, (_, k) => Math.round(k*current.steps/(COLUMNS - 1)));
function show() {
  const blank = new Float32Array(size(about)).fill(-1), chosen = columns().map(k => frames[k]);
  for (const [canvas, row] of [[above, 'xt'], [below, 'x0']]) draw(canvas, [chosen.map(frame => frame?.[row] ?? blank)], about.shape);
}
function redraw() {
  const v = Object.fromEntries(Object.entries(used).map(([k, c]) => [k, c.read()]));
  current = {y: [v.digit], seeds: [v.seed], xT: starts([v.seed], size(about)), steps: v.steps, eta: [v.eta], w: v.w};
  frames = []; root.dataset.state = 'busy'; began = performance.now();
  const T = about.abar.length - 1;
  heads.replaceChildren(...columns().map(k => html('span', {}, `${T - k*T/v.steps}`)));
  worker.postMessage({id: ++newest, name: 'digits', ...current});
}
worker.onerror = e => fail(`The network could not be started: ${e.message || 'a file of this page could not be loaded'}.`);
worker.onmessage = ({data}) => {
  if (data.id !== newest) return;
  if (data.error) return fail(`The network could not be run: ${data.error}`);
  frames.push(data); show();
  if (data.t) return;
  root.dataset.seconds = (performance.now() - began)/1000; root.dataset.state = 'done';
  status.textContent = `${current.steps} steps, ${(+root.dataset.seconds).toFixed(2)} s`;
};

const form = html('form', {}, ...Object.values(used).map(c => c.element));
form.addEventListener('input', redraw);
form.addEventListener('submit', e => e.preventDefault());
root.replaceChildren(html('figure', {className: 'strip'}, html('figcaption', {}, 'noisy image x_t at step t ='), heads, above,
  html('figcaption', {}, 'x0 prediction from it'), below), form, status);
redraw();
