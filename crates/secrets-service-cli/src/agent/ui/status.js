
"use strict";
// Everything that comes from the agent is shown as text, never as markup: paths are chosen by whoever reads them.

const EVERY = 2000; // milliseconds between two looks
const PATIENCE = 5000; // after which an agent that has not answered counts as gone
const MOST_ROWS = 200; // of one table; a filter finds the rest
const SOON = 60; // seconds; a lease that ends before is marked

const $ = (id) => document.getElementById(id);
const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
const pill = (element, sort, text) => {
  element.dataset.sort = sort;
  put(element, text);
};

function spoken(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (big, one, rest, other) => (rest ? `${big} ${one} ${rest} ${other}` : `${big} ${one}`);
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}
const count = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const clock = () => new Date().toLocaleTimeString("en-GB");
// While the page is paused its clock stands still.
let stoppedAt = null;
const paused = () => stoppedAt !== null;
const now = () => (stoppedAt ?? performance.now()) / 1000;

// When the agent said what is shown.
let asOf = 0;

// Cells whose text follows the time: when it is zero, in which direction it runs, how long it was at the beginning.
const timed = new Map();

function follow(cell, at, direction, whole, suffix) {
  const known = timed.get(cell);
  // Whole seconds come from the agent: what differs by less is the same moment.
  if (!known || Math.abs(known.at - at) > 1.5) timed.set(cell, { at, direction, whole, suffix });
  showTime(cell);
}

function showTime(cell) {
  const { at, direction, whole, suffix } = timed.get(cell);
  const seconds = (at - now()) * direction;
  put(cell.firstChild, direction > 0 && seconds <= 0 ? "over" : spoken(seconds) + (suffix || ""));
  if (whole) {
    cell.classList.toggle("soon", seconds < SOON);
    cell.lastChild.firstChild.style.width = `${Math.max(0, Math.min(100, (100 * seconds) / whole))}%`;
  }
}

const showTimes = () => timed.forEach((_, cell) => showTime(cell));

// What a cell can be.
const text = (value, style = "") => ({
  style,
  show: (cell) => {
    timed.delete(cell);
    put(cell, value);
  },
});
const number = (value) => text(value.toLocaleString("en"), "number");
const time = (at, direction, whole, suffix) => ({
  style: "time",
  show: (cell) => {
    if (!cell.firstElementChild) {
      cell.replaceChildren(document.createElement("span"));
      if (whole) {
        const left = document.createElement("span");
        left.className = "left";
        left.setAttribute("aria-hidden", "true");
        left.append(document.createElement("i"));
        cell.append(left);
      }
    }
    follow(cell, at, direction, whole, suffix);
  },
});
const until = (seconds, whole) => time(asOf + seconds, 1, whole);
const since = (seconds) => time(asOf - seconds, -1);
const ago = (seconds) => time(asOf - seconds, -1, 0, " ago");
const badge = (sort, value) => ({
  style: "",
  show: (cell) => {
    if (!cell.firstChild) cell.append(document.createElement("span"));
    cell.firstChild.className = "pill";
    pill(cell.firstChild, sort, value);
  },
});

// Brings a table up to date: rows that stay keep their elements, so that focus, selection and reading position stay.
function fill(id, empty, items, describe) {
  const body = $(id).tBodies[0];
  const old = new Map(Array.from(body.rows, (row) => [row.dataset.key, row]));
  items.forEach((item, place) => {
    const { key, cells } = describe(item);
    let row = old.get(key);
    if (row) {
      old.delete(key);
    } else {
      row = document.createElement("tr");
      row.dataset.key = key;
      cells.forEach((cell, n) => {
        const made = document.createElement(n ? "td" : "th");
        if (!n) made.scope = "row";
        made.className = cell.style;
        row.append(made);
      });
    }
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] || null);
    cells.forEach((cell, n) => cell.show(row.cells[n]));
  });
  for (const row of old.values()) {
    for (const cell of row.cells) timed.delete(cell);
    row.remove();
  }
  $(id).parentElement.hidden = !items.length;
  $(empty).hidden = items.length > 0;
}

const named = (item) => (item.version === undefined ? item.path : `${item.path} (version ${item.version})`);
const whose = (item) =>
  (item.identity === "own" ? "the agent’s login" : "a client’s token") + (item.namespace ? ` in ${item.namespace}` : "");
// Several tokens may have read the same: the second of them is another row.
const keys = (items) => {
  const seen = new Map();
  return new Map(
    items.map((item) => {
      const key = JSON.stringify([item.path, item.version, item.identity, item.namespace, item.lease?.id]);
      seen.set(key, (seen.get(key) || 0) + 1);
      return [item, `${key} ${seen.get(key)}`];
    }),
  );
};

const VAULT = {
  active: ["good", "Active"],
  standby: ["good", "Standby"],
  sealed: ["bad", "Sealed"],
  uninitialized: ["bad", "Not initialized"],
  unavailable: ["bad", "Unavailable"],
  unknown: ["unknown", "Not asked yet"],
};
const LOGIN = {
  valid: ["good", "Logged in"],
  failed: ["bad", "Failed"],
  pending: ["unknown", "Not yet"],
  none: ["unknown", "Not lent"],
};

function showStatus(status) {
  const { vault, login, breakers, requests, cache, disk } = status;
  put($("about"), `Version ${status.version}, running for ${spoken(status.running_seconds)}`);
  pill($("vault"), ...VAULT[vault.state]);
  put($("vault-about"), [vault.addresses.join(", "), vault.version && `version ${vault.version}`].filter(Boolean).join("\n"));
  put($("vault-why"), vault.why || "");

  const open = breakers.some((breaker) => breaker.state === "open");
  pill($("breaker"), open ? "bad" : breakers.length ? "warn" : "good", open ? "Open" : breakers.length ? "Half open" : "Closed");
  const failing = (breaker) => `${breaker.mount}: no answer for ${spoken(breaker.failing_for_seconds)}`;
  put($("breaker-about"), breakers.length ? breakers.map(failing).join("\n") : "Vault is asked when it is needed");

  pill($("login"), ...LOGIN[login.state]);
  const lent = login.state === "none" ? "Requests go on with the token they bring" : "For requests without a token";
  put($("login-about"), `${lent}\n${count(cache.tokens, "client token")} besides`);
  put($("login-why"), login.why || "");

  put($("cached"), count(cache.fresh + cache.stale, "secret"));
  put($("cache-about"), [`${cache.fresh} fresh, ${cache.stale} stale\n${count(cache.leases, "lease")}`,
    disk && `${disk.secrets} on disk` + (disk.pending ? `, ${disk.pending} on the way` : "")].filter(Boolean).join("\n"));
  put($("disk-why"), disk?.problem ? `The disk is not being written: ${disk.problem}` : "");

  const { hit, miss, stale } = requests;
  const percent = requests.hit_rate === null ? null : Math.floor(requests.hit_rate * 1000) / 10;
  put($("rate"), percent === null ? "–" : `${percent} %`);
  for (const sort of ["hit", "miss", "stale", "bypass"]) put($(`n-${sort}`), requests[sort].toLocaleString("en"));
  for (const [sort, n] of Object.entries({ hit, miss, stale })) $(`bar-${sort}`).style.width = `${(100 * n) / (hit + miss + stale || 1)}%`;

  const key = keys(status.stale_served);
  fill("stale", "no-stale", status.stale_served, (item) => ({
    key: key.get(item),
    cells: [text(named(item)), text(whose(item), "who"), number(item.times), ago(item.seconds_ago),
      text(spoken(item.age_seconds), "number"), text(item.why, "text")],
  }));
}

let entries = [];

function showEntries() {
  const key = keys(entries);
  const leases = entries.filter((entry) => entry.lease).sort((a, b) => a.usable_for_seconds - b.usable_for_seconds);
  fill("leases", "no-leases", leases.slice(0, MOST_ROWS), (entry) => ({
    key: key.get(entry),
    cells: [text(named(entry)), text(entry.lease.id.replace(`${entry.path}/`, ""), "code"), text(whose(entry), "who"),
      text(entry.lease.renewable ? "yes" : "no"), until(entry.usable_for_seconds, entry.age_seconds + entry.usable_for_seconds)],
  }));

  const stale = entries.filter((entry) => entry.state === "stale").length;
  put($("n-all"), `${entries.length}`);
  put($("n-fresh"), `${entries.length - stale}`);
  put($("n-old"), `${stale}`);
  const show = document.querySelector("input[name=show]:checked").value;
  const find = $("find").value.trim().toLowerCase();
  const wanted = entries.filter(
    (entry) => (show === "all" || entry.state === show) && named(entry).toLowerCase().includes(find),
  );
  wanted.sort((a, b) => b.state.localeCompare(a.state));
  const rows = wanted.slice(0, MOST_ROWS);
  put($("shown"), rows.length < entries.length ? `${rows.length} of ${count(entries.length, "secret")} shown` : "");
  put($("no-secrets"), entries.length ? "None fits." : "There are none.");
  fill("secrets", "no-secrets", rows, (entry) => ({
    key: key.get(entry),
    cells: [text(named(entry)), text(whose(entry), "who"),
      entry.state === "fresh" ? badge("good", "Fresh") : badge("warn", "Stale"),
      since(entry.age_seconds), entry.state === "fresh" ? until(entry.fresh_for_seconds) : text("–", "time"),
      until(entry.usable_for_seconds)],
  }));
}

// What has changed is told to those who cannot see it: states only, never a running clock.
let told = null;

function tell(sort, words, news) {
  pill($("overall"), sort, words);
  document.title = `${words} – secrets-service agent`;
  if (told !== null && told !== news) put($("said"), news);
  told = news;
}

function tellStatus({ vault, login, breakers, cache }) {
  const wrong = [];
  if (VAULT[vault.state][0] === "bad") wrong.push(`Vault: ${VAULT[vault.state][1].toLowerCase()}`);
  if (login.state === "failed") wrong.push("the login failed");
  for (const { mount, state } of breakers) wrong.push(`the breaker of ${mount} is ${state.replace("_", " ")}`);
  if (cache.stale && wrong.length) wrong.push("there are stale secrets");
  tell(wrong.length ? "warn" : "good", wrong.length ? "Degraded" : "All is well",
    wrong.length ? `Degraded: ${wrong.join(", ")}.` : "All is well.");
}

let awaySince = null;
let timer = 0;

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function look() {
  clearTimeout(timer);
  try {
    const [status, cache] = await Promise.all([ask("/agent/v1/status"), ask("/agent/v1/cache")]);
    // Paused meanwhile: what is being read should stand still.
    if (paused()) return;
    entries = cache.entries;
    asOf = now();
    showStatus(status);
    showEntries();
    awaySince = null;
    $("away").hidden = true;
    put($("updated"), `as of ${clock()}`);
    tellStatus(status);
  } catch (error) {
    if (paused()) return;
    awaySince ??= clock();
    put($("away-since"), `It has not since ${awaySince}; below is what it last said. This page goes on asking.`);
    $("away").hidden = false;
    tell("bad", "Agent gone", "The agent does not answer.");
    console.info(error.message);
  }
  if (!paused() && !document.hidden) timer = setTimeout(look, EVERY);
}

$("pause").addEventListener("click", () => {
  stoppedAt = paused() ? null : performance.now();
  $("pause").setAttribute("aria-pressed", `${paused()}`);
  showTimes();
  if (paused()) clearTimeout(timer);
  else look();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused()) look();
});
document.querySelectorAll("input[name=show]").forEach((choice) => choice.addEventListener("change", showEntries));
$("find").addEventListener("input", showEntries);
setInterval(showTimes, 1000);
look();
