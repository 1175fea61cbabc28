var group = document.querySelector(".chips");
if (!group) return;
var items = Array.from(document.querySelectorAll("article"));
var chips = Array.from(group.querySelectorAll("[data-label]"));
var play = document.getElementById("play");
var shown = document.getElementById("shown");
group.hidden = false;

// With script the poster stays free of controls until its clip is started.
items.forEach(function (item) {
  var video = item.querySelector("video");
  var start = item.querySelector(".start");
  video.controls = false;
  start.hidden = false;
  start.addEventListener("click", function () {
    video.play().catch(function () {});
  });
  video.addEventListener("play", function () {
    video.controls = true;
    if (document.activeElement === start) video.focus();
    start.hidden = true;
  });
});

function filter(label) {
  var count = 0;
  items.forEach(function (item) {
    var fits = !label || item.dataset.labels.split("|").indexOf(label) >= 0;
    item.hidden = !fits;
    if (!fits) item.querySelector("video").pause();
    count += fits;
  });
  chips.forEach(function (chip) {
    chip.setAttribute("aria-pressed", String(chip.dataset.label === label));
  });
  shown.textContent = count + (count === 1 ? " clip" : " clips");
}

function playing(on) {
  play.setAttribute("aria-pressed", String(on));
  items.forEach(function (item) {
    var video = item.querySelector("video");
    if (!on) video.pause();
    else if (!item.hidden) video.play().catch(function () {});
  });
}

chips.forEach(function (chip) {
  chip.addEventListener("click", function () {
    filter(chip.dataset.label);
    if (play.getAttribute("aria-pressed") === "true") playing(true);
  });
});
play.addEventListener("click", function () {
  playing(play.getAttribute("aria-pressed") !== "true");
});
