// The picture: things under the pointer, brush and eraser, wipe, difference, and pulling at it. Python checks what it sends.
const $ = s => element.querySelector(s), view = $('canvas'), g = view.getContext('2d');
const tip = $('.tip'), flag = $('.flag'), SIDE = 512, TINT = 256;
let hint = '', hinted, scene = null, maps = null, frame = null, images = {}, tool = 'pick', several = false, all = false, hover = -1, inside = false;
let showing = 'image', divided = null, painted = null, stroke = false, last = null, quiet = 0, arrived = 0, settled = 0, first = null, taught = false;

const load = s => new Promise(r => { const i = new Image(); i.onload = () => r(i); i.onerror = () => r(null); i.src = s; });
const pressed = (b, on) => b.setAttribute('aria-pressed', on ? 'true' : 'false');

async function refresh(v = props.value) {
  const mine = ++arrived;
  if (!v) return;
  settled += !v.moving;
  if (v.shown) {
    if (window.shown && v.shown[0] !== window.shown[0] && showing === 'difference') show('image');
    tell(v.shown);
  }
  const wanted = {};
  if (v.scene) wanted.before = await load(v.scene.before);
  if (v.frame) wanted.image = await load(v.frame.image);
  if (mine < arrived && !v.scene) return;               // a newer frame has come meanwhile
  Object.assign(images, wanted);
  if (v.scene) { tip.hidden = true; hover = -1; scene = v.scene; maps = Uint8Array.from(atob(scene.maps), c => c.charCodeAt(0)); unpack(); }
  if (v.frame) {
    if (!taught && frame && frame.pull === null && v.frame.pull !== null && document.querySelector('#tab-edit-button[aria-selected=true]')) { taught = true; say('Now pull at it, or move the strength'); }
    frame = v.frame;
    view.setAttribute('aria-label', 'Editable picture: click something to choose it. ' + frame.alt);
    if (divided === null && frame.edited) { divide(0.5); first = frame.alt; }  // the page opens on before and after
    else if (first && first !== frame.alt) { first = null; divide(0); }  // until something else is done
    if (!frame.edited && divided) divide(0);
    view.classList.toggle('pulls', tool === 'pick' && frame.pull !== null);
  }
  if (v.moving) quiet = 1;                              // while the slider moves, nothing covers the picture
  else if (v.scene) quiet = 0;
  places(); draw();
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

function thingAt(u, v) {                                // what a click here is for: [number of the thing, part]; -1 is none
  let part = -1, most = 0.02;
  scene.parts.forEach((_, k) => { const p = value(k, u, v); if (p >= most) { most = p; part = k; } });
  return [scene.things.findIndex(thing => thing.parts.includes(part)), part];
}
const isChosen = thing => thing.parts.length === scene.chosen.length && thing.parts.every(k => scene.chosen.includes(k));

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

const heat = document.createElement('canvas'); heat.width = heat.height = TINT;
const HEAT = [[13, 8, 70], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]];
function difference() {                                 // how much each place changed, from dark blue to yellow, over the picture in grey
  const read = image => { lg.drawImage(image, 0, 0, TINT, TINT); return lg.getImageData(0, 0, TINT, TINT); };
  if (heat.of === images.image && heat.from === images.before) return heat;
  heat.of = images.image; heat.from = images.before;
  const before = read(images.before).data, shown = read(images.image), out = shown.data;
  const change = Float32Array.from({length: TINT * TINT}, (_, i) => [0, 1, 2].reduce((sum, c) => sum + Math.abs(out[4 * i + c] - before[4 * i + c]), 0) / 382.5);
  const most = Math.max(0.6, change.reduce((a, b) => Math.max(a, b)));
  change.forEach((x, i) => {
    const at = (HEAT.length - 1) * x / most, low = Math.min(Math.floor(at), HEAT.length - 2), much = Math.min(1, 6 * x / most);
    const grey = (out[4 * i] + out[4 * i + 1] + out[4 * i + 2]) / 6;
    for (let c = 0; c < 3; c++) out[4 * i + c] = (1 - much) * grey + much * (HEAT[low][c] + (at - low) * (HEAT[low + 1][c] - HEAT[low][c]));
  });
  heat.getContext('2d').putImageData(shown, 0, 0);
  return heat;
}

function draw() {
  if (!images.image || !images.before) return;
  const image = showing === 'difference' ? difference() : images[showing];
  g.imageSmoothingEnabled = true; g.imageSmoothingQuality = 'high';
  g.drawImage(image, 0, 0, SIDE, SIDE);
  if (showing === 'image' && divided) {
    const w = images.before.width;
    g.drawImage(images.before, 0, 0, w * divided, images.before.height, 0, 0, SIDE * divided, SIDE);
  }
  flag.hidden = showing === 'image' && !hint;
  flag.textContent = hint || (showing === 'before' ? 'Before' : 'Changes');
  if (!scene || showing !== 'image') return;
  const painting = tool !== 'pick', chosen = scene.chosen.length && scene.where !== 'painted' && scene.where !== 'all';
  if (all && !painting) { scene.things.forEach((thing, i) => tint(thing.parts, scene.colours[i], 0.45, 0.6)); scene.things.forEach(name); }
  if (!quiet && !painting && !divided && chosen) tint(scene.chosen, colourOf(scene.chosen), 0, 0.75);
  if (painted && (painting || (!quiet && scene.where !== 'parts' && scene.where !== 'all'))) tint([-1], [255, 190, 40], painting && inside ? 0.45 : 0, 0.9);
  if (tool === 'pick' && inside && !pull && hover >= 0 && !all) {
    const thing = scene.things[hover];
    if (!isChosen(thing)) tint(thing.parts, scene.colours[hover], 0.5, 0.5);
  }
  if (painting && inside && last) {
    g.beginPath(); g.arc(last[0] * SIDE, last[1] * SIDE, radius() * SIDE, 0, 7); g.lineWidth = 3; g.strokeStyle = '#000a'; g.stroke(); g.lineWidth = 1.5; g.strokeStyle = '#fff'; g.stroke();
  }
  if (pull && pull.to) {
    const [x, y] = pull.from.map(c => c * SIDE), [p, q] = pull.to.map(c => c * SIDE);
    for (const [width, style] of [[4, '#000a'], [2, '#fff']]) {
      g.lineWidth = width; g.strokeStyle = style; g.beginPath(); g.moveTo(x, y); g.lineTo(p, q); g.stroke();
      g.beginPath(); g.arc(p, q, 5, 0, 7); g.stroke();
    }
  }
}
function name(thing) {                                  // written where most of it is
  let most = 0, at = [0.5, 0.5];
  for (let y = 1; y < 32; y++) for (let x = 1; x < 32; x++) {
    const u = x / 32, v = y / 32, near = thing.parts.reduce((sum, k) => sum + value(k, u, v), 0) * Math.min(u, v, 1 - u, 1 - v, 0.15);
    if (near > most) { most = near; at = [u * SIDE, v * SIDE]; }
  }
  g.font = '600 17px sans-serif'; g.textAlign = 'center'; g.lineWidth = 4; g.lineJoin = 'round'; g.strokeStyle = '#0f172acc'; g.fillStyle = '#fff';
  const half = g.measureText(thing.name).width / 2 + 6, x = Math.min(Math.max(at[0], half), SIDE - half);
  g.strokeText(thing.name, x, at[1] + 6); g.fillText(thing.name, x, at[1] + 6);
}
const colourOf = parts => scene.colours[Math.max(0, scene.things.findIndex(thing => thing.parts.includes(parts[0])))];

// The names of what can be chosen, as buttons: for the keyboard, for fingers, and to see what is chosen.
const box = $('.places'); let listed = '';
function places() {
  if (!scene) return;
  const one = [...scene.things, ...scene.larger].some(isChosen), covered = thing => thing.parts.every(k => scene.chosen.includes(k));
  const on = thing => scene.where === 'parts' && (one ? isChosen(thing) : covered(thing));  // of several each
  const open = scene.things.find(thing => thing.parts.length > 1 && scene.chosen.every(k => thing.parts.includes(k)) && scene.chosen.length);
  const items = scene.things.map(thing => ({name: thing.name, parts: thing.parts, on: on(thing)}));
  if (open) items.splice(items.findIndex(i => i.parts === open.parts) + 1, 0, ...open.parts.map(k => ({name: scene.parts[k], parts: [k], small: true,
    on: scene.where === 'parts' && scene.chosen.length === 1 && scene.chosen[0] === k})));
  items.push(...scene.larger.map(region => ({...region, on: on(region)})));
  if (scene.painted) items.push({name: 'painted area', where: 'painted', on: scene.where === 'painted'});
  if (scene.painted && scene.chosen.length) items.push({name: 'painted piece', where: 'piece', on: scene.where === 'piece'});
  items.push({name: 'everywhere', where: 'all', on: scene.where === 'all'});
  const now = JSON.stringify(items);
  if (now === listed) return;
  listed = now;
  const focus = [...box.children].indexOf(document.activeElement);
  box.replaceChildren(...items.map(item => {
    const b = document.createElement('button');
    b.type = 'button'; b.textContent = item.name; pressed(b, item.on); b.classList.toggle('small', !!item.small);
    b.addEventListener('click', () => { passing(); trigger('place', {parts: item.parts, where: item.where}); });
    return b;
  }));
  if (focus >= 0) box.children[Math.min(focus, box.children.length - 1)].focus({preventScroll: true});
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


// The strength on its way, by the slider or by pulling: while one frame is drawn the next is made; of those that wait the last.
const flights = new Set();
let next = null, sliding = false, sent = 0, seen = 0;
function move(data) {
  next = data;
  while (next && flights.size < 2) {
    const flight = fly(next, ++sent).finally(() => { flights.delete(flight); if (next) move(next); });
    next = null; flights.add(flight);
  }
}
async function fly(data, number) {
  const known = settled, answer = await server.move({...data, at: performance.now()}).catch(() => null);
  if (!answer?.frame || known !== settled || number < seen) return;  // what is wrong is said once it is let go; or newer is there
  seen = number;
  if (answer.frame.image !== frame.image) await refresh({frame: answer.frame, moving: true}); else draw();
  if (!pull) return;
  if (Math.abs(answer.strength) >= 4) say('That is as far as it goes');
  const range = document.querySelector('#strength input[type=range]');
  range.value = answer.strength;
  sliding = true; range.dispatchEvent(new Event('input', {bubbles: true})); sliding = false;
}
document.addEventListener('input', e => {
  if (!sliding && e.target.closest('#strength') && e.target.value !== '') move({strength: Number(e.target.value)});
});

// Pulling: with a variation in hand, the point under the pointer is moved to where the pointer goes.
let pull = null;
const reaches = ([u, v]) => frame.pull !== null && frame.reach[16 * Math.floor(16 * Math.min(v, 0.999)) + Math.floor(16 * Math.min(u, 0.999))] > 0;
function say(words) { hint = words; clearTimeout(hinted); hinted = setTimeout(() => { hint = ''; draw(); }, 2500); draw(); }
const pulled = () => ({from: pull.from, to: pull.to, strength: pull.strength});

view.addEventListener('pointermove', e => {
  if (!scene) return;
  const at = place(e); inside = true;
  if (pull) {
    if (!pull.to && Math.hypot(e.clientX - pull.x, e.clientY - pull.y) < 6) return;
    if (!pull.holds) { tip.hidden = true; say(frame.pull === null ? 'Choose a change first, then pull' : 'Click here first, and choose a change'); return; }
    pull.to = at; quiet = 1; tip.hidden = true; if (divided) divide(0);
    move(pulled());                                     // the line follows with the picture
    return;
  }
  quiet = 0;
  if (tool === 'pick') {
    const now = e.pointerType === 'touch' ? -1 : thingAt(...at)[0];
    tip.hidden = now < 0;
    if (now >= 0) { tip.textContent = scene.things[now].name; tip.style.left = Math.min(Math.max(at[0] * 100, 12), 88) + '%'; tip.style.top = at[1] * 100 + '%'; }
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
  if (!scene || e.button) return;
  if (tool === 'pick') {
    if (!frame || (frame.pull === null && e.pointerType === 'touch')) return;
    const from = place(e), holds = reaches(from);
    if (holds) view.setPointerCapture(e.pointerId);
    pull = {from, x: e.clientX, y: e.clientY, strength: frame.pull, to: null, holds};
    return;
  }
  e.preventDefault(); view.setPointerCapture(e.pointerId);
  stroke = true; inside = true; last = place(e); paint(last); draw();
});
view.addEventListener('pointerup', e => {
  if (!scene || e.button) return;
  if (stroke) { stroke = false; passing(); trigger('paint', {rle: pack()}); return; }
  const far = pull && Math.hypot(e.clientX - pull.x, e.clientY - pull.y) >= 6;
  if (pull && pull.to) {
    const data = pulled();
    pull = next = null; draw();
    Promise.all(flights).then(() => trigger('pulled', data));
    return;
  }
  const at = far ? pull.from : place(e);                // who pulls before there is a change has chosen what was pulled
  if (far && pull.holds) { pull = null; return; }
  pull = null;
  if (tool === 'pick') choose(e, at);
});
// Tiles say what they are about: a picture, or a place in it. What is about another fades until its own have come.
function tell(shown) {
  window.shown = shown;
  document.querySelectorAll('.tiles[data-about]').forEach(t => t.classList.toggle('passing', !shown.includes(t.dataset.about)));
}
function passing() {                                    // another place is on its way
  const before = window.shown || [], now = before.slice(0, 1);
  tell(now);
  setTimeout(() => { if (window.shown === now) tell(before); }, 20000);  // or it was refused
}
function choose(e, at) {
  const part = thingAt(...at)[1];
  if (part >= 0) { if (divided) divide(0); passing(); trigger('pick', {part, at, several: several || e.shiftKey}); }
}
view.addEventListener('pointercancel', () => { stroke = false; pull = null; });
view.addEventListener('pointerleave', () => { if (pull && pull.holds) return; pull = null; inside = false; hover = -1; tip.hidden = true; draw(); });

element.querySelectorAll('[data-tool]').forEach(b => b.addEventListener('click', () => {
  tool = b.dataset.tool; quiet = 0;
  element.querySelectorAll('[data-tool]').forEach(o => pressed(o, o === b));
  const painting = tool !== 'pick';
  $('.size').hidden = $('.clear').hidden = !painting; $('.several').hidden = $('.all').hidden = $('.divide').hidden = painting; tip.hidden = true;
  if (painting) { show('image'); divide(0); }
  view.classList.toggle('painting', painting); view.classList.toggle('pulls', !painting && frame && frame.pull !== null); draw();
}));
$('.several').addEventListener('click', e => { several = !several; pressed(e.currentTarget, several); });
$('.all').addEventListener('click', e => { all = !all; pressed(e.currentTarget, all); if (all) show('image'); draw(); });
$('.clear').addEventListener('click', () => { if (painted) { painted.fill(0); draw(); trigger('paint', {rle: pack()}); } });
function show(what) {                                   // one view at a time
  showing = what; wipe.hidden = !divided || what === 'difference';
  pressed($('.differ'), what === 'difference'); pressed($('.divide'), !wipe.hidden); draw();
}
$('.differ').addEventListener('click', () => show(showing === 'difference' ? 'image' : 'difference'));

// Before and after, divided by a line that can be moved.
const wipe = $('.wipe');
function divide(at) {
  divided = at; wipe.style.left = at * 100 + '%'; wipe.setAttribute('aria-valuenow', Math.round(at * 100));
  show(showing);
}
const within = x => Math.min(Math.max(x, 0.02), 0.98);
let held = 0;                                           // the button, held down: all of the picture as it was before
$('.divide').addEventListener('pointerdown', () => { held = setTimeout(() => show('before'), 350); });
for (const kind of ['pointerup', 'pointerleave', 'pointercancel']) $('.divide').addEventListener(kind, () => {
  clearTimeout(held);
  if (showing === 'before') { show('image'); held = kind === 'pointerup' ? -1 : 0; }  // the click that follows is none
});
$('.divide').addEventListener('click', () => {
  if (held < 0) { held = 0; return; }
  const is = !wipe.hidden; first = null; showing = 'image'; divide(is ? 0 : 0.5);
});
let grip = null;                                        // where the line was taken; a click on it is one on the picture
wipe.addEventListener('pointerdown', e => { e.preventDefault(); wipe.setPointerCapture(e.pointerId); wipe.focus({preventScroll: true}); grip = e.clientX; });
wipe.addEventListener('pointermove', e => {
  if (!wipe.hasPointerCapture(e.pointerId) || (grip !== null && Math.abs(e.clientX - grip) < 4)) return;
  grip = first = null; divide(within(place(e)[0]));
});
wipe.addEventListener('pointerup', e => { if (grip !== null) { grip = null; choose(e, place(e)); } });
wipe.addEventListener('keydown', e => {
  const step = {ArrowLeft: -0.05, ArrowRight: 0.05}[e.key];
  if (step) { e.preventDefault(); divide(within(divided + step)); }
});
const typing = e => e.target.matches('textarea, input:not([type=range], [type=checkbox], [type=radio])');
const holds = e => e.key.toLowerCase() === 'b' && !e.ctrlKey && !e.metaKey && !e.altKey && !typing(e);
document.addEventListener('keydown', e => { if (holds(e) && showing === 'image') show('before'); });
document.addEventListener('keyup', e => { if (e.key.toLowerCase() === 'b' && showing === 'before') show('image'); });

// A PNG dropped anywhere on the page goes through the same door as the "Open" button.
document.addEventListener('dragover', e => { if (e.dataTransfer && e.dataTransfer.types.includes('Files')) e.preventDefault(); });
document.addEventListener('drop', e => {
  if (!e.dataTransfer || !e.dataTransfer.files.length) return;
  e.preventDefault();
  const input = document.querySelector('.share input[type=file]');
  if (input) { input.files = e.dataTransfer.files; input.dispatchEvent(new Event('change', {bubbles: true})); }
});

document.addEventListener('keydown', e => {             // Ctrl+Z and Ctrl+Shift+Z outside text fields
  if (!(e.ctrlKey || e.metaKey) || e.key.toLowerCase() !== 'z' || typing(e)) return;
  e.preventDefault();
  const button = document.querySelector(e.shiftKey ? '#redo' : '#undo');
  if (button && !button.disabled) button.click();
});

watch('value', () => refresh()); refresh();
