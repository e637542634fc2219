// The reader draws a part of a digit, and the network finishes it in several ways.
import {LOADING, among, choice, draw, html, number, size, startedWorker, starts} from './page.js';
import {button, sheet} from './sheet.js';

const SIDE = 28, ANSWERS = 4, ANY = 10;
const root = document.querySelector('.live'), status = html('p', {className: 'status', role: 'status'});
const fail = text => { status.textContent = text; root.dataset.state = 'failed'; };
root.replaceChildren(status);
status.textContent = LOADING;
const about = await fetch(new URL('../networks/digits.json', import.meta.url)).then(answer => answer.json());

// -- what is known: ink is 1, paper -1, and where hole is 1 the network decides
const known = new Float32Array(SIDE*SIDE), hole = new Uint8Array(SIDE*SIDE).fill(1);
const pen = choice('pen', ['ink', 'paper: no ink here', 'forget: the network decides'], 0), INK = 0, PAPER = 1;
function dab(x, y, mode = pen.read()) {
  const radius = mode === INK ? 1 : 2;
  for (let i = 0; i < known.length; i++) {
    const covered = Math.min(1, radius + .5 - Math.hypot(i % SIDE + .5 - x, Math.floor(i/SIDE) + .5 - y));
    if (mode === INK && covered > .05) {
      known[i] = Math.max(hole[i] ? -1 : known[i], 2*covered - 1);
      hole[i] = 0;
    } else if (mode !== INK && covered > .5) {
      known[i] = -1;
      hole[i] = mode === PAPER ? 0 : 1;
    }
  }
}
const paper = html('canvas', {width: SIDE, height: SIDE, className: 'pixels'}), ink = paper.getContext('2d');
function show() {
  const pixels = ink.createImageData(SIDE, SIDE);
  for (let i = 0; i < known.length; i++) {
    const level = (known[i] + 1)*127.5, chequer = (i + Math.floor(i/SIDE)) % 2 ? 10 : 0;
    pixels.data.set(hole[i] ? [60 + chequer, 110 + chequer, 150 + chequer, 255] : [level, level, level, 255], 4*i);
  }
  ink.putImageData(pixels, 0, 0);
}
const forget = (from = 0) => { for (let i = from; i < hole.length; i++) { hole[i] = 1; known[i] = -1; } };
const stroke = points => {
  forget();
  for (let k = 1; k < points.length; k++) {
    const [a, b] = points[k - 1], [c, d] = points[k];
    for (let j = 0; j <= 8; j++) dab(a + (c - a)*j/8, b + (d - b)*j/8, INK);
  }
};
const arc = Array.from({length: 13}, (_, k) => [14 - 5.5*Math.cos(Math.PI*k/12), 9.5 - 5*Math.sin(Math.PI*k/12)]);
const starting = {
  'An arc': () => stroke(arc),
  'A bar': () => stroke([[8.5, 6], [19, 6]]),
  'A slope': () => stroke([[18, 5], [9, 16]]),
  'Keep the first answer': () => { if (answers) { known.set(answers.subarray(0, known.length)); hole.fill(0); } },
  'Forget the lower half': () => forget(SIDE*SIDE/2),
  'Clear': () => forget(),
};

// -- what the network makes of it
const digit = choice('digit', [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 'any'], ANY), seed = number('seed', 1);
const steps = among('steps', [5, 10, 20, 50], 10), resample = among('resample', [1, 2, 3, 4, 6, 10], 3);
const canvas = html('canvas', {className: 'pixels'});
canvas.setAttribute('role', 'img');
const worker = startedWorker();
let newest = 0, shown = 0, waiting = false, began, answers;
function send() {
  waiting = false; root.dataset.state = 'busy'; began = performance.now();
  const seeds = Array.from({length: ANSWERS}, (_, k) => 10*seed.read() + k), y = seeds.map(() => digit.read() % ANY);
  const filling = {known: known.slice(), hole: hole.slice(), resample: resample.read(), any: digit.read() === ANY};
  worker.postMessage({id: ++newest, name: 'digits', y, seeds, xT: starts(seeds, size(about)), steps: steps.read(), w: 0, filling});
}
function changed() {  // the newest drawing wins
  show();
  if (!waiting) { waiting = true; requestAnimationFrame(send); }
}
worker.onerror = e => fail(`The network could not be started: ${e.message || 'a file of this page could not be loaded'}.`);
worker.onmessage = ({data}) => {
  if (data.error) return data.id === newest && fail(`The network could not be run: ${data.error}`);
  if (data.id < shown || !data.evaluated && data.t) return;
  shown = data.id;  // a drawing that is not the newest any more still shows what it came to
  const two = [0, 1, 2, 3].map(j => data.x0.subarray(j*known.length, (j + 1)*known.length));
  draw(canvas, [two.slice(0, 2), two.slice(2)], about.shape);
  const text = digit.read() === ANY ? 'digits' : `digits ${digit.read()}`;
  canvas.setAttribute('aria-label', `Four ${text} that contain what is drawn${data.t ? ', as predicted so far' : ''}`);
  if (data.id !== newest || waiting) return;
  status.textContent = data.t ? `t = ${data.t}: x0 predictions` : `${ANSWERS} images, ${steps.read()} steps, each ${resample.read()} times, ${((performance.now() - began)/1000).toFixed(2)} s`;
  if (!data.t) { answers = data.x0; root.dataset.seconds = (performance.now() - began)/1000; root.dataset.state = 'done'; }
};

const settings = html('form', {}, ...[pen, digit, seed, steps, resample].map(c => c.element));
settings.addEventListener('input', e => pen.element.contains(e.target) || changed());
settings.addEventListener('submit', e => e.preventDefault());
root.replaceChildren(
  html('div', {className: 'panels'},
    html('figure', {}, html('figcaption', {}, 'draw here'), sheet(paper, 'The known part of a digit.', dab, () => .5, changed)),
    html('figure', {}, html('figcaption', {}, 'four answers'), canvas)),
  html('div', {className: 'tools'}, ...Object.keys(starting).map(name => button(name, () => { starting[name](); changed(); }))),
  settings, status);
starting['An arc']();
changed();
