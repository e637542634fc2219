// The reader paints a density, and a network trained in the page learns to draw from it.
import {boxes, html, slider} from './page.js';
import {HALF} from './flow.js';
import {button, sheet} from './sheet.js';

const SIDE = 64, INK = 'rgb(46, 134, 193)';  // the density is the opacity of a canvas, so that it can be seen on any background
const VIEW = 720, SHOWN = 60;  // pixels of the right picture, trajectories in it
const root = document.querySelector('.live'), style = name => getComputedStyle(root).getPropertyValue(name);

// -- the canvas to paint on
const paper = html('canvas', {width: SIDE, height: SIDE});
const pen = paper.getContext('2d', {willReadFrequently: true});
const brush = slider('brush', 2, 16, 1, 6), erase = boxes('', ['erase'], []);
const weights = () => pen.getImageData(0, 0, SIDE, SIDE).data.filter((_, i) => i % 4 === 3);

function dab(x, y) {
  const radius = brush.read()/2 + .5, soft = pen.createRadialGradient(x, y, 0, x, y, radius), rub = erase.read()[0];
  const [inside, outside] = rub ? ['rgba(0, 0, 0, .7)', 'rgba(0, 0, 0, 0)'] : ['rgba(46, 134, 193, .3)', 'rgba(46, 134, 193, 0)'];
  soft.addColorStop(0, inside); soft.addColorStop(.5, inside); soft.addColorStop(1, outside);
  pen.globalCompositeOperation = rub ? 'destination-out' : 'source-over';
  pen.fillStyle = soft;
  pen.fillRect(x - radius, y - radius, 2*radius, 2*radius);
  pen.globalCompositeOperation = 'source-over';
}
const painting = sheet(paper, 'The painted density.', dab, () => brush.read()/4, () => changed());

// -- shapes
const toCell = v => v/(2*HALF)*SIDE;
function line(arcs, width) {
  pen.lineWidth = toCell(width); pen.lineCap = 'round'; pen.strokeStyle = INK;
  for (const [x, y, radius, from, to] of arcs) {
    pen.beginPath(); pen.arc(SIDE/2 + toCell(x), SIDE/2 - toCell(y), toCell(radius), from*Math.PI, to*Math.PI); pen.stroke();
  }
}
const letter = html('input', {type: 'text', maxLength: 1, value: 'a', autocomplete: 'off', spellcheck: false});
const shapes = {
  'Ring': () => line([[0, 0, 1.5, 0, 2]], .35),
  'Two moons': () => line([[-.5, -.3, 1.1, 1, 2], [.5, .3, 1.1, 0, 1]], .3),
  'Letter': () => {
    pen.font = `bold ${SIDE}px Georgia, "DejaVu Serif", serif`; pen.fillStyle = INK;
    const text = letter.value.trim() || 'a', box = pen.measureText(text);
    pen.fillText(text, (SIDE + box.actualBoundingBoxLeft - box.actualBoundingBoxRight)/2, (SIDE + box.actualBoundingBoxAscent - box.actualBoundingBoxDescent)/2);
  },
  'Clear': () => {},
};
const put = name => { pen.clearRect(0, 0, SIDE, SIDE); shapes[name](); changed(); };
letter.addEventListener('input', () => letter.value.trim() && put('Letter'));

// -- what the network draws
const canvas = html('canvas', {width: VIEW, height: VIEW, className: 'flow'}), ink = canvas.getContext('2d');
canvas.setAttribute('role', 'img');
const time = html('input', {type: 'range', min: 0, max: 1, step: 1, value: 1}), shownTime = html('span', {className: 'value'});
const parts = boxes('show', ['samples', 'trajectories', 'arrows', 'painted density'], [0, 1, 2]);
const status = html('p', {className: 'status', role: 'status'});
let found;

const at = v => [(v[0]/HALF + 1)*VIEW/2, (1 - v[1]/HALF)*VIEW/2];
const point = (a, i) => at([a[2*i], a[2*i + 1]]);
function arrow([x, y], dx, dy) {
  const length = Math.hypot(dx, dy), head = Math.min(9, length/2);
  if (length < 1) return;
  const [c, s] = [dx/length, dy/length];
  ink.moveTo(x, y); ink.lineTo(x + dx, y + dy);
  for (const side of [-.6, .6]) { ink.moveTo(x + dx, y + dy); ink.lineTo(x + dx - head*(c - side*s), y + dy - head*(s + side*c)); }
}
function draw() {
  ink.clearRect(0, 0, VIEW, VIEW);
  if (!found) return;
  const {paths, arrows, frames, grid} = found, [samples, lines, field, density] = parts.read(), k = Math.min(+time.value, frames);
  const n = paths.length/2/(frames + 1), m = grid*grid, u = 1 - k/frames, text = style('--pst-color-text-base') || '#333';
  if (density) { ink.globalAlpha = .35; ink.imageSmoothingEnabled = false; ink.drawImage(paper, 0, 0, VIEW, VIEW); }
  if (lines) {
    ink.globalAlpha = .7; ink.lineWidth = 1.5; ink.strokeStyle = '#d9803f'; ink.beginPath();
    for (let i = 0; i < Math.min(n, SHOWN); i++) for (let j = 0; j <= frames; j++) ink[j ? 'lineTo' : 'moveTo'](...point(paths, j*n + i));
    ink.stroke();
  }
  if (field) {
    ink.globalAlpha = .55; ink.lineWidth = 1.5; ink.strokeStyle = text; ink.beginPath();
    for (let i = 0; i < m; i++) {
      const [x, y] = [(i % grid + .5)*VIEW/grid, (Math.floor(i/grid) + .5)*VIEW/grid];
      const [vx, vy] = [-arrows[2*(k*m + i)], -arrows[2*(k*m + i) + 1]], speed = Math.hypot(vx, vy);
      const scale = Math.min(.16, .42/speed)*VIEW/(2*HALF);  // no longer than to the next but one
      arrow([x - vx*scale/2, y + vy*scale/2], vx*scale, -vy*scale);
    }
    ink.stroke();
  }
  if (samples) {
    ink.globalAlpha = .9; ink.fillStyle = INK;
    for (let i = 0; i < n; i++) { const [x, y] = point(paths, k*n + i); ink.beginPath(); ink.arc(x, y, 4.5, 0, 7); ink.fill(); }
  }
  ink.globalAlpha = 1;
  shownTime.textContent = `u = ${u.toFixed(2)}`; time.setAttribute('aria-valuetext', shownTime.textContent);
  canvas.setAttribute('aria-label', `${n} points on their way from noise to the painted density, at u = ${u.toFixed(2)}, with the velocities there`);
}

let clock;
const player = button('Play', () => play(player.textContent === 'Play'));
function play(on) {
  cancelAnimationFrame(clock); player.textContent = on ? 'Stop' : 'Play';
  if (!on) return;
  const began = performance.now();
  const next = () => {
    const share = Math.min(1, (performance.now() - began)/3000);
    time.value = Math.round(share*time.max); draw();
    if (share < 1) clock = requestAnimationFrame(next); else play(false);
  };
  next();
}
time.addEventListener('input', () => { play(false); draw(); });
parts.element.addEventListener('input', draw);
new MutationObserver(draw).observe(document.documentElement, {attributeFilter: ['data-theme']});

// -- the talk with the worker
const fail = text => { status.textContent = text; root.dataset.state = 'failed'; };
const worker = new Worker(new URL('flow-worker.js', import.meta.url), {type: 'module'});
let newest = 0, seed = 0, anew = true, waiting = false;
function send() {
  waiting = false;
  const cells = Float64Array.from(weights()), empty = !cells.some(weight => weight);
  root.dataset.state = empty ? 'empty' : 'busy';
  if (empty) status.textContent = 'Nothing is painted.';
  worker.postMessage({id: ++newest, weights: cells, side: SIDE, ...anew && {seed}});
  anew = false;
}
function changed() {  // the newest painting wins
  if (!waiting) { waiting = true; requestAnimationFrame(send); }
  draw();
}
const whole = x => x.toLocaleString('en');
worker.onerror = e => fail(`The network could not be started: ${e.message || 'a file of this page could not be loaded'}.`);
worker.onmessage = ({data}) => {
  if (data.error) return fail(`The network could not be trained: ${data.error}`);
  if (waiting || data.id !== newest && data.done) return;
  const following = !found || time.value === time.max;
  found = data; time.max = data.frames;
  if (following) time.value = data.frames;
  draw();
  const spent = `${whole(data.step)} of ${whole(data.of)} steps, ${data.seconds.toFixed(1)} s, loss ${data.loss.toFixed(2)}`;
  if (!data.done) { if (data.id === newest) status.textContent = `Training: ${spent}`; return; }
  status.textContent = `Trained: ${spent}. Energy distance to the painted points ${data.distance.toFixed(4)}; as many other painted points ${data.baseline.toFixed(4)}.`;
  root.dataset.seconds = data.seconds; root.dataset.state = 'done';
};

root.replaceChildren(
  html('div', {className: 'tools'}, ...Object.keys(shapes).map(name => button(name, () => put(name))), html('label', {className: 'short'}, 'letter ', letter)),
  html('div', {className: 'tools'}, brush.element, erase.element, button('Train anew', () => { seed++; anew = true; changed(); })),
  html('div', {className: 'panels'},
    html('figure', {}, html('figcaption', {}, 'paint here'), painting),
    html('figure', {}, html('figcaption', {}, 'what the network draws'), canvas)),
  html('div', {className: 'tools'}, html('label', {className: 'film'}, html('span', {}, 'time ', shownTime), time), player, parts.element),
  status);
put('Two moons');
