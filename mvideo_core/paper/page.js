var button = document.getElementById("playing");
var videos = Array.from(document.querySelectorAll("video"));
var playing = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;

function apply() {
  button.textContent = playing ? "pause all videos" : "play all videos";
  videos.forEach(function (video) {
    if (playing) video.play().catch(function () {});
    else video.pause();
  });
}

button.addEventListener("click", function () {
  playing = !playing;
  apply();
});
button.hidden = !videos.length;
apply();
