// Playing the passes --------------------------------------------------------------------------------------------------

const SPEEDS = [0.5, 1, 2, 5, 20, 100, 500];  // steps a second
const FOLLOWED = 5;                     // up to this speed, the view follows the steps
const READING = 100;                    // ms for which the panel shows at least a step
const LONG = 60;                        // seconds that a pass should not take at the first speed
const [toFirst, toBack, toPlay, toNext, toLast, at, where, speed] =
  ["first", "back", "play", "next", "last", "at", "where", "speed"].map(id => document.getElementById(id));
const MOST_REPAINTED = 50;              // steps after which all is drawn again
let playing = 0;                        // the animation frame that plays on

at.max = steps.length;
speed.append(...SPEEDS.map(rate => element("option", {value: rate}, `${rate} a second`)));
speed.value = SPEEDS.find(rate => steps.length / rate <= LONG && rate >= 1) ?? last(SPEEDS);

/** Show the graph after so many steps; null for the graph as it is. The panel may stay as it is meanwhile. */
function go(to, panelToo = true) {
  const before = done;
  rewind(to);
  if (before === null || done === null || Math.abs(done - before) > MOST_REPAINTED) redraw();
  else repaint(new Set(steps.slice(Math.min(before, done), Math.max(before, done)).flatMap(touched)));
  at.value = done ?? 0;
  where.textContent = done === null ? plural(steps.length, "step") : `${done > SEED ? "backward" : "forward"} ${done} of ${steps.length}`;
  if (chosen && done !== null) choose(null);
  else if (panelToo) showPanel();
}

/** The items whose numbers a step changes. */
function touched({node}) {
  return [node, ...node.operands].map(other => itemOf.get(other));
}

function step(by) {
  pause();
  go(Math.max((done ?? (by > 0 ? 0 : steps.length)) + by, 0));
  followStep();
}

function followStep() {
  const step = currentStep();
  if (step) follow([...new Set(touched(step))]);
}

function play() {
  if (done === null || done === steps.length) go(0);
  let begin = performance.now(), from = done, shown = 0;
  let rate = Number(speed.value);
  panel.setAttribute("aria-live", "off");  // the steps come too fast to be read aloud
  const frame = now => {
    if (rate !== Number(speed.value)) [begin, from, rate] = [now, done, Number(speed.value)];
    const to = Math.min(from + Math.floor((now - begin) / 1000 * rate + 1), steps.length);
    if (to !== done) {
      const readable = now - shown > READING || to === steps.length;
      if (readable) shown = now;
      go(to, readable);
      if (rate <= FOLLOWED) followStep();
    }
    if (done === steps.length) pause();
    else playing = requestAnimationFrame(frame);
  };
  playing = requestAnimationFrame(frame);
  showButton();
}

function pause() {
  if (playing) showPanel();
  cancelAnimationFrame(playing);
  playing = 0;
  panel.setAttribute("aria-live", "polite");
  showButton();
}

function showButton() {
  toPlay.setAttribute("aria-pressed", Boolean(playing));
}

function changeSpeed(by) {
  speed.selectedIndex = within(speed.selectedIndex + by, 0, SPEEDS.length - 1);
}

function jump(to) {
  pause();
  go(to);
}

toFirst.onclick = () => jump(0);
toBack.onclick = () => step(-1);
toPlay.onclick = () => playing ? pause() : play();
toNext.onclick = () => step(1);
toLast.onclick = () => jump(steps.length);
at.oninput = () => jump(Number(at.value));
