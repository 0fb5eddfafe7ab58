// The picture: parts under the pointer, brush and eraser, before, difference. Everything it sends is checked by Python.
const $ = s => element.querySelector(s), view = $('canvas'), g = view.getContext('2d');
const tip = $('.tip'), flag = $('.flag'), SIDE = 512, TINT = 256;
let scene = null, maps = null, images = {}, tool = 'pick', several = false, hover = -1, inside = false;
let showing = 'image', painted = null, stroke = false, last = null, quiet = 0, arrived = 0;

const load = s => new Promise(r => { const i = new Image(); i.onload = () => r(i); i.onerror = () => r(null); i.src = s; });
const pressed = (b, on) => b.setAttribute('aria-pressed', on ? 'true' : 'false');

async function refresh() {
  const v = props.value, mine = ++arrived;
  if (!v) return;
  const wanted = {};
  if (v.scene) wanted.before = await load(v.scene.before);
  if (v.frame) { wanted.image = await load(v.frame.image); wanted.difference = await load(v.frame.difference); }
  if (mine < arrived && !v.scene) return;               // a newer frame has come meanwhile
  Object.assign(images, wanted);
  if (v.scene) { scene = v.scene; maps = Uint8Array.from(atob(scene.maps), c => c.charCodeAt(0)); unpack(); }
  if (v.frame) view.setAttribute('aria-label', 'Editable picture: click a part to choose it. ' + v.frame.alt);
  quiet = v.scene ? 0 : 1;                              // while the slider moves, nothing covers the picture
  draw();
  view.dataset.frames = 1 + Number(view.dataset.frames || 0);
}

// A cell of the frame -> its number in the whole grid.
const cell = i => (scene.frame[0] + Math.floor(i / scene.grid[1])) * scene.size[1] + scene.frame[1] + i % scene.grid[1];

function unpack() {                                     // run lengths of the whole grid -> the cells of the frame
  const [H, W] = scene.size, [h, w] = scene.grid, all = new Uint8Array(H * W); let at = 0, on = 0;
  if (scene.painted) for (const n of scene.painted.split(',')) { all.fill(on, at, at + Number(n)); at += Number(n); on = 1 - on; }
  painted = Uint8Array.from({length: h * w}, (_, i) => all[cell(i)]);
}

function pack() {
  const [H, W] = scene.size, all = new Uint8Array(H * W), runs = [0]; let on = 0;
  painted.forEach((bit, i) => { all[cell(i)] = bit; });
  for (const bit of all) {
    if (bit !== on) { runs.push(0); on = bit; }
    runs[runs.length - 1]++;
  }
  return runs.join(',');
}

function value(k, u, v) {                               // a part at a place, 0 to 1: bilinear between cell centres
  const [h, w] = scene.grid, x = Math.min(Math.max(u * w - 0.5, 0), w - 1), y = Math.min(Math.max(v * h - 0.5, 0), h - 1);
  const x0 = Math.floor(x), y0 = Math.floor(y), x1 = Math.min(x0 + 1, w - 1), y1 = Math.min(y0 + 1, h - 1), a = x - x0, b = y - y0;
  const m = (yy, xx) => k < 0 ? painted[yy * w + xx] : maps[k * h * w + yy * w + xx] / 255;
  return (m(y0, x0) * (1 - a) + m(y0, x1) * a) * (1 - b) + (m(y1, x0) * (1 - a) + m(y1, x1) * a) * b;
}

function partAt(u, v) {
  let best = -1, most = 0.2;
  scene.names.forEach((_, k) => { const p = value(k, u, v); if (p >= most) { most = p; best = k; } });
  return best;
}

const layer = document.createElement('canvas'); layer.width = layer.height = TINT;
const lg = layer.getContext('2d');
function tint(numbers, [red, green, blue], fill, line) {  // a region in colour, with its outline
  const at = new Float32Array(TINT * TINT), data = lg.createImageData(TINT, TINT), out = data.data;
  for (let y = 0; y < TINT; y++) for (let x = 0; x < TINT; x++) {
    let p = 0;
    for (const k of numbers) p += value(k, (x + 0.5) / TINT, (y + 0.5) / TINT);
    at[y * TINT + x] = Math.min(p, 1);
  }
  for (let i = 0; i < at.length; i++) {
    const x = i % TINT, dx = at[x < TINT - 1 ? i + 1 : i] - at[x ? i - 1 : i], dy = (at[i + TINT] ?? at[i]) - (at[i - TINT] ?? at[i]);
    const away = Math.abs(at[i] - 0.45) / (0.5 * Math.hypot(dx, dy) + 1e-4);  // pixels to the line where the part fades
    const edge = line * Math.max(0, Math.min(1, 1.3 - away)), soft = fill * Math.max(0, Math.min(1, 1.4 * at[i] - 0.15));
    const whole = edge + soft * (1 - edge), mix = (c, w) => (w * edge + c * soft * (1 - edge)) / (whole || 1);
    out[4 * i] = mix(red, 255); out[4 * i + 1] = mix(green, 255); out[4 * i + 2] = mix(blue, 255); out[4 * i + 3] = 255 * whole;
  }
  lg.putImageData(data, 0, 0);
  g.drawImage(layer, 0, 0, SIDE, SIDE);
}

function draw() {
  const image = images[showing] || images.image;
  if (!image) return;
  g.imageSmoothingEnabled = true; g.imageSmoothingQuality = 'high';
  g.drawImage(image, 0, 0, SIDE, SIDE);
  flag.hidden = showing === 'image';
  flag.textContent = showing === 'before' ? 'Before' : 'Difference';
  if (!scene || showing !== 'image') return;
  const painting = tool !== 'pick';
  if (!quiet && !painting && scene.where !== 'painted' && scene.where !== 'all' && scene.chosen.length) tint(scene.chosen, scene.colours[scene.chosen[0]], 0, 0.75);
  if (painted && (painting || (!quiet && scene.where !== 'parts' && scene.where !== 'all'))) tint([-1], [255, 190, 40], painting && inside ? 0.45 : 0, 0.9);
  if (tool === 'pick' && inside && hover >= 0) tint([hover], scene.colours[hover], 0.5, 0.5);
  if (painting && inside && last) {
    g.beginPath(); g.arc(last[0] * SIDE, last[1] * SIDE, radius() * SIDE, 0, 7); g.lineWidth = 3; g.strokeStyle = '#000a'; g.stroke(); g.lineWidth = 1.5; g.strokeStyle = '#fff'; g.stroke();
  }
}

const radius = () => 0.02 + 0.2 * Number($('.size input').value);
function place(e) {
  const r = view.getBoundingClientRect();
  return [(e.clientX - r.left) / r.width, (e.clientY - r.top) / r.height];
}
function paint([u, v]) {                                // the cells whose centre the brush covers, and the one under it
  const [h, w] = scene.grid, r = radius(), on = tool === 'brush' ? 1 : 0;
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
    const under = Math.floor(u * w) === x && Math.floor(v * h) === y;
    if (under || Math.hypot((x + 0.5) / w - u, (y + 0.5) / h - v) <= r) painted[y * w + x] = on;
  }
}

view.addEventListener('pointermove', e => {
  if (!scene) return;
  const at = place(e); inside = true; quiet = 0;
  if (tool === 'pick') {
    const now = e.pointerType === 'touch' ? -1 : partAt(...at);
    tip.hidden = now < 0;
    if (now >= 0) { tip.textContent = scene.names[now]; tip.style.left = Math.min(Math.max(at[0] * 100, 12), 88) + '%'; tip.style.top = at[1] * 100 + '%'; }
    if (now !== hover) { hover = now; draw(); }
    return;
  }
  if (stroke) {
    const steps = last ? Math.ceil(Math.hypot(at[0] - last[0], at[1] - last[1]) / 0.02) : 1, from = last || at;
    for (let i = 1; i <= steps; i++) paint([from[0] + (at[0] - from[0]) * i / steps, from[1] + (at[1] - from[1]) * i / steps]);
  }
  last = at; draw();
});
view.addEventListener('pointerdown', e => {
  if (!scene || tool === 'pick' || e.button) return;
  e.preventDefault(); view.setPointerCapture(e.pointerId);
  stroke = true; inside = true; last = place(e); paint(last); draw();
});
view.addEventListener('pointerup', e => {
  if (!scene || e.button) return;
  if (stroke) { stroke = false; trigger('paint', {rle: pack()}); return; }
  if (tool !== 'pick') return;
  const part = partAt(...place(e));
  if (part >= 0) trigger('pick', {part, several: several || e.shiftKey});
});
view.addEventListener('pointercancel', () => { stroke = false; });
view.addEventListener('pointerleave', () => { inside = false; hover = -1; tip.hidden = true; draw(); });

element.querySelectorAll('[data-tool]').forEach(b => b.addEventListener('click', () => {
  tool = b.dataset.tool; quiet = 0;
  element.querySelectorAll('[data-tool]').forEach(o => pressed(o, o === b));
  const painting = tool !== 'pick';
  $('.size').hidden = $('.clear').hidden = !painting; $('.several').hidden = painting; tip.hidden = true;
  if (painting) { showing = 'image'; pressed($('.differ'), false); }
  view.classList.toggle('painting', painting); draw();
}));
$('.several').addEventListener('click', e => { several = !several; pressed(e.currentTarget, several); });
$('.clear').addEventListener('click', () => { if (painted) { painted.fill(0); draw(); trigger('paint', {rle: pack()}); } });
$('.differ').addEventListener('click', e => { showing = showing === 'difference' ? 'image' : 'difference'; pressed(e.currentTarget, showing === 'difference'); draw(); });
const before = $('.before'), other = () => $('.differ').getAttribute('aria-pressed') === 'true' ? 'difference' : 'image';
const hold = on => { showing = on ? 'before' : other(); before.classList.toggle('held', on); draw(); };
before.addEventListener('pointerdown', e => { before.setPointerCapture(e.pointerId); hold(true); });
for (const name of ['pointerup', 'pointercancel', 'keyup', 'blur']) before.addEventListener(name, () => hold(false));
before.addEventListener('keydown', e => { if (e.key === ' ' || e.key === 'Enter') { e.preventDefault(); hold(true); } });

// A PNG dropped anywhere on the page goes through the same door as the "Open" button.
document.addEventListener('dragover', e => { if (e.dataTransfer && e.dataTransfer.types.includes('Files')) e.preventDefault(); });
document.addEventListener('drop', e => {
  if (!e.dataTransfer || !e.dataTransfer.files.length) return;
  e.preventDefault();
  const input = document.querySelector('.share input[type=file]');
  if (input) { input.files = e.dataTransfer.files; input.dispatchEvent(new Event('change', {bubbles: true})); }
});

document.addEventListener('keydown', e => {             // Ctrl+Z and Ctrl+Shift+Z outside text fields
  if (!(e.ctrlKey || e.metaKey) || e.key.toLowerCase() !== 'z' || e.target.matches('textarea, input:not([type=range], [type=checkbox], [type=radio])')) return;
  e.preventDefault();
  const button = document.querySelector(e.shiftKey ? '#redo' : '#undo');
  if (button && !button.disabled) button.click();
});

watch('value', refresh); refresh();
