// Pan and zoom --------------------------------------------------------------------------------------------------------

const SIDE = 20;                        // the margin on the left and on the right
const READABLE = 0.9;                   // the scale to read an item at
let glide = 0;

function stop() {
  cancelAnimationFrame(glide);
  glide = 0;
}

/** Animate the view to a target. */
function goTo(target) {
  stop();
  const from = {...view}, begin = performance.now();
  const duration = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 220;
  const step = () => {
    const t = duration ? Math.min((performance.now() - begin) / duration, 1) : 1, eased = 1 - (1 - t) ** 3;
    for (const key in target) view[key] = from[key] + (target[key] - from[key]) * eased;
    glide = t < 1 ? requestAnimationFrame(step) : 0;
    draw();
  };
  step();
}

/** The part of the canvas between the bars. */
function room() {
  const [top, bottom] = ["top", "player"].map(id => document.getElementById(id).offsetHeight + SIDE + 4);
  return {left: SIDE, top, width: canvas.clientWidth - 2 * SIDE, height: canvas.clientHeight - top - bottom};
}

function wholeGraph() {
  const right = Math.max(...items.map(item => item.x)) + WIDTH, {left, top, width, height: h} = room();
  const scale = Math.min(width / right, h / (height + HEIGHT), 1.3);
  return {scale, x: left + (width - right * scale) / 2, y: top + (h - height * scale) / 2};
}

function fit() {
  fitted = true;
  goTo(wholeGraph());
}

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  stop();
  const smallest = Math.min(wholeGraph().scale, NUMBERS) / 2;
  const scale = Math.min(Math.max(view.scale * factor, smallest), 4), by = scale / view.scale;
  Object.assign(view, {scale, x: x - (x - view.x) * by, y: y - (y - view.y) * by});
  fitted = false;
  sharpen();
  move();
}

/** Centre an item at a readable scale. */
function centre(item) {
  const scale = Math.max(view.scale, READABLE);
  fitted = false;
  goTo({
    scale,
    x: canvas.clientWidth / 2 - (item.x + WIDTH / 2) * scale,
    y: canvas.clientHeight / 2 - item.y * scale,
  });
}

/** Pan, and zoom if need be, so that items can be read; the first of them in any case. */
function follow(some) {
  const {left, top, width, height} = room(), span = extent(some);
  const needed = Math.min(width / (span.right - span.left), height / (span.bottom - span.top));
  const scale = Math.max(Math.min(view.scale < NUMBERS ? READABLE : view.scale, needed), NUMBERS);
  const target = needed < NUMBERS ? extent(some.slice(0, 1)) : span;
  const place = {
    scale,
    x: within(view.x, left - target.left * scale, left + width - target.right * scale),
    y: within(view.y, top - target.top * scale, top + height - target.bottom * scale),
  };
  if (scale !== view.scale) {
    place.x = left + (width - (target.left + target.right) * scale) / 2;
    place.y = top + (height - (target.top + target.bottom) * scale) / 2;
  }
  if (Object.keys(place).every(key => place[key] === view[key])) return;
  fitted = false;
  goTo(place);
}

function within(x, least, most) {
  return Math.min(Math.max(x, least), Math.max(most, least));
}

function extent(some) {
  return {
    left: Math.min(...some.map(item => item.x)),
    right: Math.max(...some.map(item => item.x + WIDTH)),
    top: Math.min(...some.map(item => item.y)) - ROW / 2,
    bottom: Math.max(...some.map(item => item.y)) + ROW,
  };
}

function itemAt(x, y) {
  const wx = (x - view.x) / view.scale, wy = (y - view.y) / view.scale, slack = 3 / view.scale;
  const distance = item => Math.hypot(wx - item.x - WIDTH / 2, wy - item.y);
  return items
    .filter(item => wx >= entry(item) - slack && wx <= item.x + WIDTH + slack && Math.abs(wy - item.y) <= HEIGHT / 2 + slack)
    .sort((a, b) => distance(a) - distance(b))[0];
}

// The pointers: one pans or clicks, two zoom ---------------------------------------------------------------------------

const pointers = new Map();             // where those that are down are
let moved = false;                      // whether one has moved since it was pressed

canvas.addEventListener("pointerdown", event => {
  if (event.button) return;
  stop();
  canvas.setPointerCapture(event.pointerId);
  moved = pointers.size > 0;
  pointers.set(event.pointerId, {x: event.offsetX, y: event.offsetY});
});
canvas.addEventListener("pointermove", event => {
  const {offsetX: x, offsetY: y} = event, from = pointers.get(event.pointerId);
  if (!from) return showTip(itemAt(x, y), x, y);
  if (!moved && Math.hypot(x - from.x, y - from.y) <= 3) return;
  moved = true;
  const [other] = [...pointers.values()].filter(pointer => pointer !== from);
  if (other) pinch(from, {x, y}, other);
  else pan(x - from.x, y - from.y);
  pointers.set(event.pointerId, {x, y});
});
canvas.addEventListener("pointerup", event => {
  if (pointers.has(event.pointerId) && !moved) choose(itemAt(event.offsetX, event.offsetY) || null);
  endPress(event);
});
canvas.addEventListener("pointercancel", endPress);
canvas.addEventListener("pointerleave", () => showTip(null));
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  const pixels = event.deltaY * (event.deltaMode ? 20 : 1);
  zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0015)), event.offsetX, event.offsetY);
}, {passive: false});

function pan(dx, dy) {
  view.x += dx;
  view.y += dy;
  fitted = false;
  canvas.classList.add("dragging");
  move();
}

function pinch(from, to, other) {
  const before = Math.hypot(from.x - other.x, from.y - other.y), after = Math.hypot(to.x - other.x, to.y - other.y);
  pan((to.x - from.x) / 2, (to.y - from.y) / 2);
  if (before) zoom(after / before, (to.x + other.x) / 2, (to.y + other.y) / 2);
}

function endPress(event) {
  pointers.delete(event.pointerId);
  canvas.classList.remove("dragging");
}

/** Describe the item under the pointer if the scale is too small to read the graph. */
function showTip(item, x, y) {
  canvas.classList.toggle("over", Boolean(item));
  const tip = document.getElementById("tip");
  tip.hidden = !item || view.scale >= NUMBERS;
  if (tip.hidden) return;
  tip.textContent = (item.members ? [item.module, `${item.members.length} nodes`] : tipOf(item)).filter(Boolean).join("   ");
  tip.style.left = `${Math.min(x + 14, canvas.clientWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.min(y + 14, canvas.clientHeight - tip.offsetHeight - 8)}px`;
}

function tipOf(node) {
  const {data, grad} = numbersOf(node);
  return [node.label, node.op, `data ${short(data)}`, `grad ${short(grad)}`];
}

const [zoomOut, zoomFit, zoomIn] = document.querySelectorAll("#zoom button");
zoomOut.onclick = () => zoom(1 / 1.4);
zoomFit.onclick = fit;
zoomIn.onclick = () => zoom(1.4);
