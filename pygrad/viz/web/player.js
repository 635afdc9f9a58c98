// Playing the passes --------------------------------------------------------------------------------------------------

const SPEEDS = [0.5, 1, 2, 5, 20, 100, 500];  // steps a second
const FOLLOWED = 5;                     // up to this speed, the view follows the steps
const LONG = 60;                        // seconds that a pass should not take at the first speed
const [toFirst, toBack, toPlay, toNext, toLast, at, where, speed] =
  ["first", "back", "play", "next", "last", "at", "where", "speed"].map(id => document.getElementById(id));
let playing = 0;                        // the animation frame that plays on

at.max = steps.length;
speed.append(...SPEEDS.map(rate => element("option", {value: rate}, `${rate} a second`)));
speed.value = SPEEDS.find(rate => steps.length / rate <= LONG && rate >= 1) ?? last(SPEEDS);

/** Show the graph after so many steps; null for the graph as it is. */
function go(to) {
  rewind(to);
  at.value = done ?? 0;
  where.textContent = done === null ? plural(steps.length, "step") : `${done > SEED ? "backward" : "forward"} ${done} of ${steps.length}`;
  if (chosen && done !== null) choose(null);
  else showPanel();
  redraw();
}

function step(by) {
  pause();
  go(Math.max((done ?? (by > 0 ? 0 : steps.length)) + by, 0));
  followStep();
}

function followStep() {
  const {node} = currentStep() ?? {node: null};
  if (node) follow([...new Set([node, ...node.operands].map(other => itemOf.get(other)))]);
}

function play() {
  if (done === null || done === steps.length) go(0);
  let begin = performance.now(), from = done;
  let rate = Number(speed.value);
  panel.setAttribute("aria-live", "off");  // the steps come too fast to be read aloud
  const frame = now => {
    if (rate !== Number(speed.value)) [begin, from, rate] = [now, done, Number(speed.value)];
    const to = Math.min(from + Math.floor((now - begin) / 1000 * rate + 1), steps.length);
    if (to !== done) {
      go(to);
      if (rate <= FOLLOWED) followStep();
    }
    if (done === steps.length) pause();
    else playing = requestAnimationFrame(frame);
  };
  playing = requestAnimationFrame(frame);
  showButton();
}

function pause() {
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
