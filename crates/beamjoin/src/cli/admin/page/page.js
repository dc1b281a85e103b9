"use strict";

// Asks for /members every second and shows what changed. Names and reasons come from other machines: they are only ever
// set as text, never as HTML.

const EVERY = 1000;
const PATIENCE = 5000;
// A page of more rows helps nobody.
const ROWS = 500;
// A node of the BEAM ticks every 15 s in which it has sent nothing else, and is given up after 60 s and a quarter.
const LATE = 35000;

const $ = (id) => document.getElementById(id);
const rows = new Map();
let last = null;
let lastAt = null;
let asking = false;
let timer = null;

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function duration(ms) {
  const s = ms / 1000;
  if (s < 10) return s.toFixed(1) + " s";
  if (s < 120) return Math.floor(s) + " s";
  const minutes = Math.floor(s / 60);
  if (minutes < 120) return minutes + " min";
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return hours + " h " + (minutes % 60) + " min";
  return Math.floor(hours / 24) + " d " + (hours % 24) + " h";
}

function bytes(count) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (count >= size) return (count / size).toFixed(count < 100 * size ? 1 : 0) + " " + unit;
  }
  return Math.round(count) + " B";
}

const count = (number, one, many) => number.toLocaleString("en") + " " + (number === 1 ? one : many);

// A cell has a text and beneath it a smaller one.
function cell(element, main, small, kind) {
  text(element.firstChild, main);
  text(element.lastChild, small || "");
  element.firstChild.className = kind || "";
  element.classList.toggle("none", main === "" && !small);
}

function newRow(name) {
  const row = document.createElement("tr");
  row.setAttribute("role", "row");
  const labels = ["", "", "Last read", "In", "Out", "Queue", "Reconnects", "Last trouble"];
  const cells = labels.map((label, index) => {
    const td = document.createElement("td");
    td.setAttribute("role", "cell");
    if (label) td.dataset.label = label;
    if (index >= 2 && index <= 6) td.className = "number";
    if (index === 7) td.className = "trouble";
    td.append(document.createElement(index === 0 || index === 7 ? "bdi" : "span"), document.createElement("small"));
    row.append(td);
    return td;
  });
  row.dataset.node = name;
  return { row, cells };
}

function rate(now, before, seconds) {
  return before === undefined || now <= before ? "" : bytes((now - before) / seconds) + "/s";
}

function showMember(member, before, seconds, visible) {
  if (!rows.has(member.name)) rows.set(member.name, newRow(member.name));
  const { row, cells } = rows.get(member.name);
  const link = member.link;
  const old = before && before.link && link && before.link.up_ms <= link.up_ms ? before.link : {};
  row.dataset.state = member.state;
  // To a hidden node everybody is hidden, which says nothing.
  cell(cells[0], member.name, visible && link && !link.visible ? "hidden" : "");
  cell(cells[1], member.state, "for " + duration(member.for_ms), "state " + member.state);
  if (link) {
    cell(cells[2], duration(link.read_ago_ms) + " ago", "", link.read_ago_ms > LATE ? "warn" : "");
    const traffic = (td, total, messages, was) => {
      cell(td, bytes(total), [rate(total, was, seconds), count(messages, "message", "messages")].filter(Boolean).join(" · "));
    };
    traffic(cells[3], link.bytes_read, link.messages_read, old.bytes_read);
    traffic(cells[4], link.bytes_written, link.messages_written, old.bytes_written);
    const waiting = link.waiting_senders ? count(link.waiting_senders, "sender waits", "senders wait") : "";
    cell(cells[5], bytes(link.queued_bytes), waiting, waiting ? "warn" : "");
  } else {
    for (const td of cells.slice(2, 6)) cell(td, "", "");
  }
  cell(cells[6], member.links ? String(member.links - 1) : "", "");
  cell(cells[7], ...trouble(member));
  return row;
}

function trouble(member) {
  const down = member.last_down;
  const ended = down ? down.detail + " (" + down.reason + "), " + duration(down.ago_ms) + " ago" : "";
  if (!member.last_error) return [ended, ""];
  const failed = count(member.failures, "dial has", "dials have") + " failed";
  return [member.last_error, failed + (ended ? "; before that: " + ended : "")];
}

function showMembers(data, seconds) {
  const before = new Map((last ? last.members : []).map((member) => [member.name, member]));
  const shown = data.members.slice(0, ROWS);
  const body = $("members");
  let place = body.firstChild;
  for (const member of shown) {
    const row = showMember(member, before.get(member.name), seconds, data.node.visible);
    if (row === place) place = place.nextSibling;
    else body.insertBefore(row, place);
  }
  const names = new Set(shown.map((member) => member.name));
  for (const [name, { row }] of rows) {
    if (!names.has(name)) {
      row.remove();
      rows.delete(name);
    }
  }
  $("nobody").hidden = data.members.length > 0;
  const hidden = data.members.length - shown.length;
  $("more").hidden = hidden === 0;
  text($("more"), "and " + hidden.toLocaleString("en") + " more");
}

function showEvents(events) {
  const list = $("events");
  // The newest first: what is new goes before what is there.
  const newest = list.firstChild ? list.firstChild.dataset.key : null;
  const fresh = [];
  for (const event of events) {
    const key = event.ts + " " + event.event + " " + event.text;
    if (key === newest) break;
    const item = document.createElement("li");
    const time = document.createElement("time");
    const name = document.createElement("b");
    const said = document.createElement("bdi");
    const at = new Date(event.ts / 1000);
    item.dataset.key = key;
    time.dateTime = at.toISOString();
    time.title = at.toLocaleString();
    time.textContent = at.toLocaleTimeString([], { hour12: false });
    name.textContent = event.event.replaceAll("_", " ");
    if (["down", "postgres_lost"].includes(event.event)) name.className = "bad";
    if (["up", "postgres_up"].includes(event.event)) name.className = "good";
    said.textContent = event.text;
    item.append(time, name, said);
    fresh.push(item);
  }
  list.prepend(...fresh);
  while (list.children.length > events.length) list.lastChild.remove();
}

function fact(id, main, small, kind) {
  const element = $(id);
  if (element.childElementCount === 0) {
    element.replaceChildren(document.createElement("span"), document.createElement("small"));
  }
  text(element.firstChild, main);
  text(element.lastChild, small);
  element.firstChild.className = kind || "";
}

function show(data) {
  const now = Date.now();
  const seconds = lastAt ? (now - lastAt) / 1000 : 1;
  const of = (state) => data.members.filter((member) => member.state === state).length;
  text($("name"), data.node.name);
  document.title = data.node.name + " · " + count(of("up"), "node", "nodes");
  text($("ready"), data.ready ? "ready" : "not ready");
  $("ready").className = "pill " + (data.ready ? "good" : "warn");
  $("reasons").hidden = data.ready;
  text($("reasons"), "Not ready: " + data.reasons.join("; "));
  fact("connected", count(of("up"), "node", "nodes"), of("down") + " down, " + of("unreached") + " never reached");
  const discovery = data.discovery;
  const lost = discovery.losses ? ", " + discovery.losses + " lost so far" : "";
  fact("postgres", discovery.up ? "connected" : "not connected",
    discovery.up ? "for " + duration(discovery.for_ms) + lost : (discovery.last_loss || "for " + duration(discovery.for_ms)),
    discovery.up ? "good" : "bad");
  fact("heard", discovery.heard.toLocaleString("en"),
    discovery.heard_ago_ms === null ? "none yet" : "the last " + duration(discovery.heard_ago_ms) + " ago");
  fact("uptime", duration(data.node.up_ms), data.node.visible ? "visible" : "hidden");
  text($("version"), "beamjoin " + data.node.version);
  showMembers(data, seconds);
  showEvents(data.events);
  $("lost").hidden = true;
  document.body.classList.remove("stale");
  last = data;
  lastAt = now;
}

function showLost(starting) {
  const shown = lastAt ? " What is shown is from " + new Date(lastAt).toLocaleTimeString([], { hour12: false }) + "." : "";
  const why = starting ? "The node is starting." : "The node does not answer.";
  text($("lost"), why + shown + " Asking again every second.");
  text($("ready"), starting ? "starting" : "no answer");
  $("ready").className = "pill bad";
  $("lost").hidden = false;
  document.body.classList.add("stale");
  document.title = "⚠ " + document.title.replace(/^⚠ /, "");
}

async function poll() {
  clearTimeout(timer);
  if (asking) return;
  asking = true;
  try {
    const response = await fetch("members", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (response.ok) show(await response.json());
    else showLost(response.status === 503);
  } catch {
    showLost(false);
  }
  asking = false;
  if (!document.hidden) timer = setTimeout(poll, EVERY);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) poll();
});
poll();
