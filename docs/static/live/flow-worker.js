// Trains the network of the page on painted densities beside the page, and sends what it draws by then.
import {Adam, HALF, Network, batch, energy, follow, painted, random} from './flow.js';

const WIDTH = 48, STEPS = 1600, BATCH = 128, RATE = 5e-3;
const SECONDS = 8;  // a slow machine takes fewer steps, not more time
const POINTS = 300, FRAMES = 24, GRID = 13;
const SLICE = 50, SHARE = 8;  // milliseconds between looks at the messages; how much longer to train than to draw

const places = new Float64Array(2*GRID*GRID);
for (let i = 0; i < GRID*GRID; i++) {
  places[2*i] = (i % GRID - (GRID - 1)/2)*2*HALF/GRID;
  places[2*i + 1] = ((GRID - 1)/2 - Math.floor(i/GRID))*2*HALF/GRID;
}
const joined = arrays => {
  const out = new Float32Array(arrays.length*arrays[0].length);
  arrays.forEach((a, k) => out.set(a, k*a.length));
  return out;
};

let network, adam, task, next = 0;
const start = random(1000).normal(new Float64Array(2*POINTS));

// Trajectories from noise, and the velocities on a grid at the same times.
function picture() {
  const paths = follow(network, start, FRAMES), u = new Float64Array(GRID*GRID), arrows = [];
  for (let k = 0; k <= FRAMES; k++) arrows.push(network.forward(places, u.fill(1 - k/FRAMES)).slice());
  return {paths: joined(paths), arrows: joined(arrows), frames: FRAMES, grid: GRID};
}

// How far as many drawn points are from painted ones, and other painted ones from these.
function measured(data) {
  const n = 1000, points = seed => data.draw(new Float64Array(2*n), random(seed));
  const drawn = follow(network, random(2000).normal(new Float64Array(2*n)), 50).at(-1);
  return {drawn, distance: energy(drawn, points(2001)), baseline: energy(points(2002), points(2001))};
}

async function train(mine) {
  const {data, id, chance} = mine, began = performance.now();
  let loss = 0, spent = 0, k = 0;
  const seconds = () => (performance.now() - began)/1000;
  while (spent < 1) {
    await new Promise(done => setTimeout(done));
    if (task !== mine) return;
    const slice = performance.now();
    do {
      const {x, u, target} = batch(data, BATCH, chance), error = network.backward(x, u, target);
      loss += Math.max(.01, 1/(k + 1))*(error - loss);
      adam.step(RATE*Math.max(.002, 1 - spent));
      spent = Math.max(++k/STEPS, seconds()/SECONDS);
    } while (spent < 1 && performance.now() - slice < SLICE);
    const now = performance.now();
    if (now > next) {
      postMessage({id, step: k, of: STEPS, loss, seconds: seconds(), ...picture()});
      next = performance.now() + Math.max(200, SHARE*(performance.now() - now));
    }
  }
  postMessage({id, step: k, of: STEPS, loss, seconds: seconds(), ...picture(), ...measured(data), done: true});
}

// A message: the painted cells, and a seed where the network is to start anew. The newest cancels the ones before it.
onmessage = ({data: {id, weights, side, seed}}) => {
  if (seed !== undefined || !network) {
    network = new Network(WIDTH, seed ?? 0);
    adam = new Adam(network);
  }
  task = {id, data: painted(weights, side), chance: random(seed ?? id)};
  if (task.data.total) train(task).catch(error => postMessage({id, error: String(error)}));
};
