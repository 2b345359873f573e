// The web page: draws runs, generations, stages, curves and events. It looks again when the event stream tells of a
// change, and every second while a stage makes progress, which is no event.
// Data reach the document as text only (textContent, attributes), never as markup.

import { answer, badge, byId, complain, count, draw, el, get, percent, svg, unbroken, when, whoAmI } from "./elements.js";

const ACTIVE = ["running", "pausing", "cancelling"];
const POLL_MS = 1000;
const POLL_QUIET_MS = 30000;
const BURST_MS = 200;

// ---- the two pages ----

async function pollRuns() {
  const shown = Math.min(100, pollRuns.shown ?? 30);
  const page = await get(`/runs?limit=${shown}`);
  const more = byId("more");
  more.hidden = page.next_cursor === null || shown >= 100;
  more.onclick = () => { pollRuns.shown = 100; wake(); };
  draw(byId("runs"), page.items.length ? page.items : ["none"], (run) => (run === "none" ? noRuns() : runLine(run)));
  return POLL_QUIET_MS;
}

async function pollRun() {
  const id = decodeURIComponent(location.pathname.split("/").pop());
  const path = `/runs/${encodeURIComponent(id)}`;
  const [run, events] = await Promise.all([get(path), get(`${path}/events?limit=100`)]);
  document.title = `${run.name} · ${run.state}`;
  const active = ACTIVE.includes(run.state);
  const now = active ? Math.floor(Date.now() / 1000) : 0;
  offer("pause", run.state === "running", `${path}/pause`);
  offer("resume", ["pausing", "paused"].includes(run.state), `${path}/resume`);
  offer("cancel", ["running", "pausing", "paused"].includes(run.state), `${path}/cancel`);
  offer("retry", ["failed", "cancelled"].includes(run.state), `${path}/retry`);
  const curves = await Promise.all(run.generation_details.map((generation) => validationCurve(path, generation)));
  draw(byId("summary"), [{ ...run, generation_details: null, now }], summary);
  draw(
    byId("generations"),
    run.generation_details.map((generation, index) => ({
      ...generation, curve: curves[index], now: generation.state === "running" ? now : 0,
    })),
    generationCard,
  );
  draw(byId("results"), [run.generation_details], resultTable);
  draw(byId("events"), events.items, eventLine);
  return active ? POLL_MS : POLL_QUIET_MS;
}

let changed = false; // since the page began to look last
let resume = () => {};

function wake() {
  changed = true;
  resume();
}

// The browser connects again by itself, and goes on after the last event that it has seen.
function listen(path) {
  const events = new EventSource(path);
  events.onmessage = () => wake();
  events.onopen = () => wake(); // what happened before it was open
  document.addEventListener("visibilitychange", () => { if (!document.hidden) wake(); });
}

async function poll(step) {
  let pause = POLL_MS;
  changed = false;
  try {
    if (!document.hidden) pause = await step();
    if (Date.now() > (byId("trouble").keepUntil ?? 0)) byId("trouble").hidden = true;
  } catch (error) {
    complain(error.message);
  }
  await new Promise((done) => {
    resume = () => setTimeout(done, BURST_MS); // several events at once are one look
    setTimeout(done, changed ? BURST_MS : pause);
  });
  poll(step);
}

// ---- what is drawn ----

function noRuns() {
  return el("p", { class: "empty" }, "No runs yet. Start one with POST /runs, or with: noisy-student runs create -f FILE");
}

function runLine(run) {
  return el("a", { class: "card run", href: `/ui/runs/${encodeURIComponent(run.id)}` },
    badge(run.state),
    el("span", { class: "name" }, run.name),
    el("span", { class: "soft mono" }, run.id),
    el("span", { class: "soft" }, `${run.generations} ${run.generations === 1 ? "generation" : "generations"}`),
    run.queue ? el("span", { class: "soft" }, queuePlace(run.queue)) : null,
    run.waiting ? waitLine(run.waiting) : null,
    el("span", { class: "soft when" }, when(run.created_at)));
}

function summary(run) {
  const end = run.finished_at ? Date.parse(run.finished_at) : run.now * 1000;
  const took = end > 0 ? ` · ${seconds((end - Date.parse(run.created_at)) / 1000)}` : "";
  return el("div", {},
    el("div", { class: "title" }, el("h1", {}, run.name), badge(run.state)),
    el("div", { class: "soft" }, el("span", { class: "mono" }, run.id), ` · started ${when(run.created_at)}${took}`),
    run.queue ? el("p", { class: "soft" }, queuePlace(run.queue)) : null,
    run.waiting ? el("p", {}, waitLine(run.waiting, run.now)) : null,
    run.state_reason ? el("p", { class: "failure" }, run.state_reason) : null);
}

function queuePlace(queue) {
  return `place ${queue.position} in the queue: ${queue.reason}`;
}

// Why a stage that is on the cluster cannot begin. `now` is in seconds, if the wait's length is to be shown.
function waitLine(waiting, now) {
  const took = now ? ` (${seconds(now - Date.parse(waiting.since) / 1000)})` : "";
  return el("span", { class: "wait" },
    el("span", { class: "badge waiting" }, waitName(waiting)), " ",
    `generation ${waiting.generation} ${waiting.stage}: ${waiting.reason}${took}`);
}

function waitName({ kind }) {
  return (kind ?? "waiting").replaceAll("_", " ");
}

function generationCard(generation) {
  const { plan } = generation;
  return el("article", { class: "card generation" },
    el("div", {},
      el("div", { class: "row" },
        el("h3", {}, `${generation.number} · ${generation.number === 0 ? "teacher" : "student"}`), badge(generation.state)),
      el("div", { class: "mono" }, plan ? plan.model : "of another version of the service"),
      plan ? el("div", { class: "soft" }, noiseLine(plan.recipe.noise)) : null),
    ...generation.stages.map((stage) => stageBlock(stage, generation.now)),
    generation.curve.length > 1 ? curve(generation.curve) : null,
    reviewLink(generation));
}

function reviewLink(generation) {
  const labeled = generation.stages.find((stage) => stage.name === "label" && stage.state === "succeeded");
  return labeled ? el("a", { href: `/ui/runs/${labeled.run_id}/generations/${generation.number}/review` }, "Review its labels") : null;
}

function noiseLine({ rand_augment: randAugment, dropout, drop_path: dropPath }) {
  return [
    randAugment ? `RandAugment(${randAugment.n}, ${randAugment.m}, ${randAugment.scale})` : "no RandAugment",
    `dropout ${dropout}`, `drop path ${dropPath}`,
  ].map(unbroken).join(" · ");
}

function stageBlock(stage, now) {
  const attempt = stage.attempts.reduce((latest, each) => (latest && latest.number > each.number ? latest : each), null);
  const { progress } = stage;
  const numbers = progress ? liveNumbers(progress.values) : [];
  if (stage.state === "running" && progress?.workers) numbers.unshift(`${count(progress.workers)} ${progress.workers === 1 ? "worker" : "workers"}`);
  return el("div", { class: `stage ${stage.state}` },
    el("div", { class: "row" },
      el("strong", {}, stage.name),
      el("span", { class: "soft" }, stageTime(stage, now), " ", badge(stage.state))),
    progress && progress.total > 0
      ? el("progress", { max: progress.total, value: progress.done, "aria-label": `${stage.name} progress` }) : null,
    el("div", { class: "row soft" },
      el("span", {}, progress ? `${count(progress.done)} / ${count(progress.total)} ${progress.unit}` : ""),
      attempt ? jobLink(attempt) : null),
    stage.state === "running" && progress?.waiting
      ? el("div", { class: "soft" }, el("span", { class: "badge waiting" }, waitName(progress.waiting)), " ", progress.waiting.reason)
      : null,
    numbers.length ? el("div", { class: "soft" }, numbers.map(unbroken).join(" · ")) : null,
    ...hygiene(stage).map((line) => el("div", { class: "soft" }, line)),
    ...pictures(stage).map((name) => el("img", { class: "picture", alt: name.replaceAll("_", " ").replace(".svg", ""),
      src: `/runs/${stage.run_id}/generations/${stage.generation}/stages/${stage.name}/pictures/${name}` })),
    ...stage.attempts.filter((each) => each.failure_message || each.failure_reason).map((each) =>
      el("div", { class: "failure" },
        `attempt ${each.number}: ${[each.failure_reason, each.failure_message].filter(Boolean).join(": ")}`)));
}

function jobLink(attempt) {
  return el("span", {},
    attempt.number > 1 ? `attempt ${attempt.number} · ` : "",
    attempt.devices ? unbroken(`${attempt.devices.count} ${attempt.devices.kind.toUpperCase()}`) + " · " : "",
    attempt.job_url.startsWith("/ui/runs/")
      ? el("a", { href: attempt.job_url, target: "_blank", rel: "noopener noreferrer", title: attempt.submission_id },
        attempt.dashboard_url ? "Ray job ↗" : attempt.log_saved ? "saved log ↗" : "Ray job (gone) ↗")
      : el("span", { class: "mono" }, attempt.submission_id));
}

function pictures(stage) {
  if (stage.name === "search" && stage.result) return ["rand_augment.svg", "accuracy_by_cost.svg"];
  return stage.name === "label" && stage.result?.calibration ? ["reliability.svg"] : [];
}

// What the label stage found beside labels, and what the select stage dropped for it or found by class.
function hygiene(stage) {
  const found = stage.result;
  if (stage.name === "label" && found) {
    const kinds = Object.entries(found.bad_by_kind ?? {}).map(([kind, images]) => `${count(images)} ${kind.replaceAll("_", " ")}`);
    return [
      found.imported_labels ? `${count(found.imported_labels - (found.imported_unknown ?? 0))} imported labels` : "",
      found.imported_unknown ? `${count(found.imported_unknown)} imported labels of unknown images` : "",
      found.without_label ? `${count(found.without_label)} images without a label` : "",
      found.images_reused
        ? `${count(found.images - found.images_reused)} images labeled, labels of ${count(found.images_reused)} reused from ${found.reused_from.join(", ")}`
        : "",
      kinds.length ? `unreadable: ${kinds.join(", ")}` : "",
      found.duplicates ? `${count(found.duplicates)} duplicates` : "",
      found.held_out ? `${count(found.held_out)} evaluation images` : "",
      found.near_duplicates ? `${count(found.near_duplicates)} like an evaluation image` : "",
      found.without_look ? `${count(found.without_look)} too flat to compare looks` : "",
      found.near_duplicates_unchecked?.length ? `looks not compared with: ${found.near_duplicates_unchecked.join(", ")}` : "",
    ].filter(Boolean);
  }
  if (stage.name !== "select" || !found) return [];
  const dropped = (found.dropped_near_duplicates ?? 0) + (found.dropped_duplicates ?? 0);
  const lowest = found.lowest_threshold ?? null, before = found.distance_before_alignment ?? null;
  const marks = found.marks ?? null;
  return [
    marks ? `${count(marks.marks)} marks: ${count(marks.given)} labels given, ${count(marks.wrong)} left out` : "",
    dropped ? `${count(dropped)} duplicates and near duplicates dropped` : "",
    lowest === null ? "" : `thresholds from ${percent(lowest)} to ${percent(found.highest_threshold)}`,
    before === null ? "" : `class shares ${percent(before)} from the target, ${percent(found.distance_after_alignment)} once aligned`,
  ].filter(Boolean);
}

function liveNumbers(values) {
  const numbers = [];
  if (values.images_per_second !== undefined) numbers.push(`${count(Math.round(values.images_per_second))} img/s`);
  if (values.loss !== undefined) numbers.push(`loss ${values.loss.toFixed(3)}`);
  const accuracy = values.validation_top1 ?? values.top1;
  if (accuracy !== undefined) numbers.push(`acc ${percent(accuracy)}`);
  return numbers;
}

function stageTime(stage, now) {
  if (stage.times) return `${stage.times.work_seconds.toFixed(1)} + ${stage.times.overhead_seconds.toFixed(1)} s`;
  if (stage.state === "running" && stage.ready_at && now) return seconds(now - Date.parse(stage.ready_at) / 1000);
  return "";
}

function resultTable(generations) {
  const measured = generations.some((generation) => robustness(generation));
  const judged = generations.find((generation) => generation.gate_on)?.gate_on;
  const gated = generations.some((generation) => generation.promoted !== null);
  const head = ["Generation", "Model", "Parameters", "Test accuracy", "Error reduction", "Kept of labeled",
    ...(measured ? ["mCE %", "Flip rate %"] : []), ...(gated ? [judged === "test" ? "May teach (chosen by test images)" : "May teach"] : [])];
  const teacher = testAccuracy(generations[0]);
  const rows = generations.map((generation) => {
    const accuracy = testAccuracy(generation);
    const selected = generation.stages.find((stage) => stage.name === "select")?.result;
    const reduction = generation.number > 0 && accuracy !== null && teacher !== null && teacher < 1
      ? percent((accuracy - teacher) / (1 - teacher)) : "–";
    return [
      `${generation.number} ${generation.number === 0 ? "teacher" : "student"}`,
      generation.model?.model ?? generation.plan?.model ?? "–",
      generation.model ? count(generation.model.parameters) : "–",
      accuracy === null ? "–" : percent(accuracy),
      reduction,
      selected ? `${count(selected.kept)} of ${count(selected.images_labeled)}` : "–",
      ...(measured ? [
        fixed(robustness(generation)?.corruptions?.mean_corruption_error),
        fixed(robustness(generation)?.stability?.mean_flip_rate)] : []),
      ...(gated ? [generation.promoted === null ? "–" : generation.promoted ? "yes" : `no: ${generation.gate_reason}`] : []),
    ];
  });
  return el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((value) => el("td", {}, value))))));
}

function eventLine(event) {
  const where = [event.generation === null ? null : `g${event.generation}`, event.stage].filter(Boolean).join(" ");
  return el("div", { class: "event" },
    el("time", { datetime: event.at }, new Date(event.at).toLocaleTimeString()),
    el("span", {}, where ? el("strong", {}, `${where} `) : null,
      event.kind.replaceAll("_", " "), event.message ? `: ${event.message}` : ""));
}

// Validation accuracy over steps. Points are [step, accuracy] in order of step.
function curve(points) {
  const [width, height, left, bottom] = [300, 110, 44, 16];
  const values = points.map(([, value]) => value);
  const low = Math.min(...values);
  const high = Math.max(...values, low + 0.001); // a flat curve has a height, too
  const last = points.at(-1)[0];
  const x = (step) => left + (step / last) * (width - left - 6);
  const y = (value) => 8 + (1 - (value - low) / (high - low)) * (height - bottom - 12);
  const label = (text, atX, atY, anchor) => svg("text", { x: atX, y: atY, "text-anchor": anchor }, text);
  return svg("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Validation accuracy, ${percent(values[0])} to ${percent(values.at(-1))}` },
    ...[low, high].map((value) => svg("line", { class: "grid", x1: left, x2: width - 6, y1: y(value), y2: y(value) })),
    svg("polyline", { class: "line", points: points.map(([step, value]) => `${x(step)},${y(value)}`).join(" ") }),
    label(percent(high), left - 4, y(high) + 3, "end"),
    label(percent(low), left - 4, y(low) + 3, "end"),
    label("validation accuracy", left, height - 3, "start"),
    label(`step ${count(last)}`, width - 6, height - 3, "end"));
}

// ---- numbers ----

function robustness(generation) {
  return generation.stages.find((stage) => stage.name === "evaluate")?.result?.robustness ?? null;
}

function fixed(value) {
  return value === undefined || value === null ? "–" : value.toFixed(1);
}

function testAccuracy(generation) {
  return generation?.model?.test_top1 ?? null;
}

const curves = new Map(); // by generation: the points, and of which progress they are

async function validationCurve(path, generation) {
  const train = generation.stages.find((stage) => stage.name === "train");
  if (!train || train.attempts.length === 0) return [];
  const version = `${train.state} ${train.attempts.length} ${train.progress?.values.validation_top1}`;
  const known = curves.get(generation.number);
  if (known?.version === version) return known.points;
  const { rows } = await get(`${path}/generations/${generation.number}/stages/train/metrics`);
  const byStep = new Map(); // a resumed attempt repeats steps: the later row counts
  for (const row of rows) if (row.values.validation_top1 !== undefined) byStep.set(row.step, row.values.validation_top1);
  const points = [...byStep].sort(([one], [other]) => one - other);
  curves.set(generation.number, { version, points });
  return points;
}

function seconds(value) {
  if (value < 60) return `${Math.max(0, value).toFixed(value < 10 ? 1 : 0)} s`;
  return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
}

// ---- what a caller may do ----

function offer(id, offered, path) {
  const button = byId(id);
  button.hidden = !(offered && mayChange);
  button.onclick = async () => {
    if (id === "cancel" && !confirm("Cancel this run?")) return;
    button.disabled = true;
    try {
      await answer(await fetch(path, { method: "POST" }));
    } catch (error) {
      complain(error.message);
      byId("trouble").keepUntil = Date.now() + 8000; // else the next poll would take it away
    }
    button.disabled = false;
  };
}

let mayChange = false;

// A viewer would be refused: it is offered no button.
async function meetCaller() {
  mayChange = (await whoAmI()).scope !== "viewer";
  wake();
}

meetCaller().catch((error) => complain(error.message));
const onRunPage = document.body.dataset.page === "run";
listen(onRunPage ? `/runs/${location.pathname.split("/").pop()}/events/stream` : "/events/stream");
poll(onRunPage ? pollRun : pollRuns);
