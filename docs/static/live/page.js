// What the live pages share: the controls, the canvas, and the talk with the worker.
import {noise} from './sampler.js';

export const html = (tag, attributes = {}, ...children) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) k in e ? e[k] = v : e.setAttribute(k, v);
  e.append(...children);
  return e;
};

// Controls: each is an element with a function `read`.
const labelled = (label, input, read, shown = () => '') => {
  const value = html('span', {className: 'value'}), show = () => value.textContent = shown();
  input.addEventListener('input', show); show();
  return {element: html('label', {}, html('span', {}, label, ' ', value), input), read};
};
export function slider(label, min, max, step, value) {
  const input = html('input', {type: 'range', min, max, step});
  input.value = value;
  return labelled(label, input, () => +input.value, () => input.value);
}
export function among(label, values, value) {  // a slider over a list of numbers
  const input = html('input', {type: 'range', min: 0, max: values.length - 1, step: 1});
  input.value = values.indexOf(value);
  const read = () => values[input.value], announce = () => input.setAttribute('aria-valuetext', read());
  input.addEventListener('input', announce); announce();
  return labelled(label, input, read, read);
}
export function number(label, value) {
  const input = html('input', {type: 'number', min: 0, max: 999999, step: 1, required: true});
  input.value = value;
  return labelled(label, input, () => Math.min(999999, Math.max(0, Math.round(+input.value || 0))));
}
export function choice(label, names, value) {
  const input = html('select', {}, ...names.map((name, i) => html('option', {value: i, selected: i === value}, String(name))));
  return labelled(label, input, () => +input.value);
}
export function boxes(label, names, checked) {
  const inputs = names.map((name, i) => html('input', {type: 'checkbox', checked: checked.includes(i), name}));
  const each = inputs.map((input, i) => html('label', {}, input, ' ', String(names[i]).replaceAll('_', ' ')));
  return {element: html('fieldset', {}, html('legend', {}, label), ...each), read: () => inputs.map(i => i.checked)};
}
export const steps = () => among('steps', [2, 4, 5, 8, 10, 20, 25, 40, 50, 100], 10);

export const size = about => about.shape.reduce((a, b) => a*b);
export const LOADING =
  'Loading the network and ONNX Runtime, about 6 MB, kept by the browser ...';

export function startedWorker() {  // the one that start.js has begun to fill, once
  const {prepared} = globalThis;
  globalThis.prepared = undefined;
  return prepared ?? new Worker(new URL('worker.js', import.meta.url), {type: 'module'});
}

// Noise to start from, an image after the other.
export function starts(seeds, size) {
  const out = new Float32Array(seeds.length*size);
  seeds.forEach((seed, j) => out.set(noise(seed, 0, size), j*size));
  return out;
}

// Draw rows of images, each an array of `shape` in [-1, 1], with a pixel between them; a missing one
// leaves its place empty.
export function draw(canvas, rows, [c, h, w]) {
  canvas.width = rows[0].length*(w + 1) - 1; canvas.height = rows.length*(h + 1) - 1;
  const pen = canvas.getContext('2d'), plane = c === 3 ? h*w : 0;
  rows.forEach((row, r) => row.forEach((image, q) => {
    if (!image) return;
    const pixels = pen.createImageData(w, h), {data} = pixels;
    for (let i = 0; i < h*w; i++) {
      for (let k = 0; k < 3; k++) {
        data[4*i + k] = Math.round((Math.min(1, Math.max(-1, image[i + k*plane])) + 1)*127.5);
      }
      data[4*i + 3] = 255;
    }
    pen.putImageData(pixels, q*(w + 1), r*(h + 1));
  }));
}

// A canvas for rows of images, with a text above each column and before each row.
export function grid(className, title) {
  const canvas = html('canvas', {role: 'img'});
  const heads = html('div', {className: 'heads', 'aria-hidden': 'true'});
  const sides = html('div', {className: 'sides', 'aria-hidden': 'true'});
  const element = html('figure', {className: `grid ${className}`}, heads, sides, canvas);
  if (title) element.prepend(html('figcaption', {}, title));
  const texts = names => names.map(name => html('span', {}, String(name)));
  const show = (rows, shape, columnNames, rowNames, description) => {
    heads.replaceChildren(...texts(columnNames)); sides.replaceChildren(...texts(rowNames));
    element.style.setProperty('--columns', columnNames.length);
    canvas.setAttribute('aria-label', description);
    draw(canvas, rows, shape);
  };
  return {element, show};
}

const FILM = 6;  // columns of a film

// network: its name; controls(about): name -> control; request(values, about): y, xT, seeds, steps,
// eta, w; names(values): a text per image. The picture: rows(images): rows of images;
// columnNames(values), rowNames(values): their texts; description(values, about): what it shows.
// Without `rows` there is no picture, only the film of the trajectory.
// The picture follows the hand: each change is a request, the newest wins, and what the network
// predicts in its first steps is shown until the trajectory has come to its end.
export async function live(
  {network, controls, request, names, rows, columnNames, rowNames = () => [], description},
) {
  const root = document.querySelector('.live');
  const status = html('p', {className: 'status', role: 'status'});
  const failed = text => { status.textContent = text; root.dataset.state = 'failed'; };
  root.replaceChildren(status);
  status.textContent = LOADING;
  const began = performance.now();
  const address = new URL(`../networks/${network}.json`, import.meta.url);
  const about = await fetch(address).then(answer => answer.json()).catch(() => null);
  if (!about) return failed('The network could not be loaded.');
  const used = controls(about), form = html('form', {}, ...Object.values(used).map(c => c.element));
  const picture = rows && grid('picture');
  const films = {
    xt: grid('', 'noisy image x_t at step t ='), x0: grid('', 'x0 prediction from it'),
  };
  const film = html('div', {className: 'films'}, films.xt.element, films.x0.element);
  root.replaceChildren(...picture ? [picture.element, status, form, film] : [film, status, form]);

  const worker = startedWorker();
  const requests = new Map();  // id -> what was asked for, as long as it may be answered
  let newest = 0, shown = 0, frames = [], first = true;
  const ask = () => {
    const values = Object.fromEntries(Object.entries(used).map(([k, c]) => [k, c.read()]));
    const asked = request(values, about);
    newest++; root.dataset.state = 'busy';
    if (!asked.y.length) { shown = newest; status.textContent = 'Choose at least one.'; return; }
    requests.set(newest, {...asked, values, since: performance.now()});
    worker.postMessage({id: newest, name: network, ...asked});
  };
  const show = ({values, y, steps}) => {
    const n = size(about), T = about.abar.length - 1;
    const images = batch => y.map((_, j) => batch.subarray(j*n, (j + 1)*n));
    if (picture) {
      const shownRows = rows(images(frames.at(-1).x0));
      const texts = [columnNames(values), rowNames(values), description(values, about)];
      picture.show(shownRows, about.shape, ...texts);
    }
    const spread = Array.from({length: FILM}, (_, k) => Math.round(k*steps/(FILM - 1)));
    const taken = [...new Set(spread)], times = taken.map(k => T - k*T/steps);
    for (const [part, {show}] of Object.entries(films)) {
      const columns = taken.map(k => frames[k] ? images(frames[k][part]) : []);
      const what = part === 'xt' ? 'Noisy images' : 'The x0 predictions';
      const text = `${what} at the steps ${times.join(', ')}, a row for each image`;
      show(y.map((_, j) => columns.map(c => c[j])), about.shape, times, names(values), text);
    }
  };
  worker.onerror = e => {
    const reason = e.message || 'a file of this page could not be loaded';
    failed(`The network could not be started: ${reason}.`);
  };
  worker.onmessage = ({data}) => {
    if (data.id < shown) return;
    if (data.error) return failed(`The network could not be run: ${data.error}`);
    if (data.id > shown) {
      for (const id of requests.keys()) if (id < data.id) requests.delete(id);
      shown = data.id; frames = [];
    }
    const asked = requests.get(shown), {y, steps, since} = asked;
    frames.push(data);
    if (data.evaluated || !data.t) show(asked);  // what costs nothing is followed by more at once
    if (data.t || data.id !== newest) {
      if (!first) status.textContent = `t = ${data.t}: x0 predictions`;
      return;
    }
    const seconds = (performance.now() - (first ? began : since))/1000;
    const images = `${y.length} ${y.length > 1 ? 'images' : 'image'}`;
    const note = first ? ' with loading' : '';
    status.textContent = `${images}, ${steps} steps, ${seconds.toFixed(2)} s${note}`;
    first = false; root.dataset.state = 'done'; root.dataset.seconds = seconds;
  };
  form.addEventListener('input', ask);
  form.addEventListener('submit', e => e.preventDefault());
  ask();
}
